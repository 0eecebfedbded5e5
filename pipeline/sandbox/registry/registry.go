// Package registry embeds a Confluent-compatible schema registry (franz-go's
// srfake), in memory. It accepts incompatible schemas, as a registry with
// compatibility switched off does.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// Registry is a running embedded registry.
type Registry struct {
	server *http.Server
	addr   net.Addr
	done   chan error
}

// Start listens on addr (host:port; port 0: any free one).
func Start(addr string) (*Registry, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start the embedded schema registry: %w", err)
	}
	r := &Registry{
		server: &http.Server{Handler: srfake.NewRegistry().Handler(), ReadHeaderTimeout: 10 * time.Second},
		addr:   l.Addr(),
		done:   make(chan error, 1),
	}
	go func() { r.done <- r.server.Serve(l) }()
	return r, nil
}

// URL is the registry's address.
func (r *Registry) URL() string { return "http://" + r.addr.String() }

// Stop ends the registry and forgets its schemas.
func (r *Registry) Stop(ctx context.Context) error {
	err := r.server.Shutdown(ctx)
	if served := <-r.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
