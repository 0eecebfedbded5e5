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
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Server is a registry that listens.
type Server struct {
	http *http.Server
	addr net.Addr
	done chan error
}

// Start listens on addr (host:port; port 0: any free one). pool is of the ledger.
func Start(addr string, pool *pgxpool.Pool, log *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start the embedded schema registry: %w", err)
	}
	s := &Server{
		http: &http.Server{Handler: Handler(pool, log), ReadHeaderTimeout: 10 * time.Second},
		addr: l.Addr(),
		done: make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

// URL is the registry's address.
func (s *Server) URL() string { return "http://" + s.addr.String() }

// Stop ends the registry. What was registered stays in the ledger.
func (s *Server) Stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
