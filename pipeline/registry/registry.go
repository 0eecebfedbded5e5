// Package registry serves Confluent's schema registry interface out of the ledger, for
// pipelines with an embedded broker: the ids that records carry mean the same in every
// run, and no other server is needed.
//
// It serves what clients and ordinary tools use of Avro subjects. Schemas are never
// deleted, and none is refused for compatibility: the records of an embedded broker do
// not outlive the process that wrote them, so nobody reads old ones with a new schema.
// What is not served is refused and says so.
package registry

import (
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/internal/httpserver"
)

// Start listens on addr (host:port; port 0: any free one). pool is of the ledger, in
// which what was registered stays.
func Start(addr string, pool *pgxpool.Pool, log *slog.Logger) (*httpserver.Server, error) {
	s, err := httpserver.Start(addr, Handler(pool, log))
	if err != nil {
		return nil, fmt.Errorf("start the embedded schema registry: %w", err)
	}
	return s, nil
}
