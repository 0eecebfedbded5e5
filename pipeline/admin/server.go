package admin

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

//go:embed page.html
var page []byte

// Collect reads the status. It may take as long as a count of all entities, so
// the server calls it for nobody more often than once a second.
type Collect func(ctx context.Context) Status

// Server is the admin address of a running pipeline.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan error
}

// Serve listens on addr; loopback only, because it asks nobody who they are.
func Serve(addr string, collect Collect, metrics prometheus.Gatherer) (*Server, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("admin.listen %s: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("admin.listen %s: only loopback addresses are served, because the page asks for no credentials: use 127.0.0.1", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("admin.listen: %w", err)
	}
	s := &Server{
		http:     &http.Server{Handler: Handler(collect, metrics), ReadHeaderTimeout: 10 * time.Second},
		listener: l,
		done:     make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Stop ends the server.
func (s *Server) Stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Handler serves the page at /, the status at /status, Prometheus metrics at
// /metrics and liveness at /health.
func Handler(collect Collect, metrics prometheus.Gatherer) http.Handler {
	cached := &cache{collect: collect}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
		w.Write(page)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		body, err := json.MarshalIndent(cached.get(r.Context()), "", "  ")
		if err != nil {
			http.Error(w, "the status cannot be shown", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}

// cache keeps a status for a second, so that many viewers cost what one does.
type cache struct {
	collect Collect
	mu      struct {
		sync.Mutex
		status Status
		taken  time.Time
	}
}

func (c *cache) get(ctx context.Context) Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.mu.taken) > time.Second {
		c.mu.status, c.mu.taken = c.collect(ctx), time.Now()
	}
	return c.mu.status
}
