// Package httpserver serves a handler at an address until it is stopped.
package httpserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Server is a server that listens.
type Server struct {
	http *http.Server
	addr net.Addr
	done chan error
}

// Start listens on addr (host:port; port 0: any free one).
func Start(addr string, handler http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &Server{http: &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}, addr: l.Addr(), done: make(chan error, 1)}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

// URL is the server's address.
func (s *Server) URL() string { return "http://" + s.addr.String() }

// Stop ends the server. Requests in flight have a second to end.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
