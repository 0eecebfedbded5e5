// Package registry embeds a Confluent-compatible schema registry (franz-go's
// srfake), in memory. It accepts incompatible schemas, as a registry with
// compatibility switched off does.
package registry

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/backstitch/backstitch/internal/httpserver"
)

// Start listens on addr (host:port; port 0: any free one). What was registered ends
// with the server.
func Start(addr string) (*httpserver.Server, error) {
	s, err := httpserver.Start(addr, srfake.NewRegistry().Handler())
	if err != nil {
		return nil, fmt.Errorf("start the embedded schema registry: %w", err)
	}
	return s, nil
}
