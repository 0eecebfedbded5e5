package admin

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/stage"
)

// Collect reads the status. It may take as long as a count of all entities, so
// the server calls it for nobody more often than once a second.
type Collect func(ctx context.Context) Status

// Server is the admin address of a running pipeline.
type Server struct {
	http     *http.Server
	listener net.Listener
	secure   bool
	serve    func()
	samples  *stage.Stage
	done     chan error
}

// Options of the admin address.
type Options struct {
	// Listen is host:port. Beyond loopback it needs Token (the configuration sees to it).
	Listen string
	// Token that requests must show; "": nothing is asked, loopback only.
	Token string
	// TLS, nil: plain HTTP.
	TLS     *tls.Config
	Version string
	Collect Collect
	Metrics prometheus.Gatherer
	Control Control
	// Ledger answers questions about single entities; nil: nobody does.
	Ledger ledger.Querier
	// Instance is this instance's id; nil: the address that is listened on.
	Instance func() string
	Applied  Applied
	// Ready says why this instance is not ready to work; nil: it is.
	Ready func() error
	// Live says why the process should be killed; nil: it moves.
	Live func() error
	// LogLevel is changed through /admin/loggers; nil: it cannot be.
	LogLevel *slog.LevelVar
}

// Listen opens the address, so that the instance knows its own name before it
// serves. It answers after Serve.
func Listen(o Options) (*Server, error) {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("admin.listen %s: %w", o.Listen, err)
	}
	if ip := net.ParseIP(host); o.Token == "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("admin.listen %s: only loopback addresses are served without a token: set admin.token, or use 127.0.0.1", o.Listen)
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("admin.listen: %w", err)
	}
	s := &Server{listener: l, secure: o.TLS != nil, done: make(chan error, 1)}
	if o.TLS != nil {
		l = tls.NewListener(l, o.TLS)
	}
	if o.Instance == nil {
		o.Instance = s.Addr
	}
	samples := NewSeries(o.Instance, o.Collect, o.Metrics)
	s.samples = stage.New("samples", samples.Run)
	s.http = &http.Server{Handler: handler(o, samples), ReadHeaderTimeout: 10 * time.Second}
	s.serve = func() { s.done <- s.http.Serve(l) }
	return s, nil
}

// Serve begins to answer.
func (s *Server) Serve() {
	s.samples.Start(context.Background()) // until Stop
	go s.serve()
}

// URL is where the page is, on this machine.
func (s *Server) URL() string {
	if s.secure {
		return "https://" + s.Addr()
	}
	return "http://" + s.Addr()
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Stop ends the server.
func (s *Server) Stop(ctx context.Context) error {
	err := errors.Join(s.samples.Stop(ctx), s.http.Shutdown(ctx))
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Handler serves the page at /, the status at /status, Prometheus metrics at
// /metrics, health, and Kafka Connect's interface.
func Handler(o Options) http.Handler {
	if o.Instance == nil {
		o.Instance = func() string { return o.Listen }
	}
	return handler(o, NewSeries(o.Instance, o.Collect, o.Metrics))
}

func handler(o Options, samples *Series) http.Handler {
	return guard{o.Token, routes(o, samples)}
}

func routes(o Options, samples *Series) *router {
	cached := &cache{collect: o.Collect}
	mux := newRouter()
	rest := connect{o.Control, o.Version}
	rest.routes(mux)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if wantsPage(r) {
			servePage(w, r)
			return
		}
		rest.root(w, r) // a script wants Connect's answer
	})
	mux.HandleFunc("GET /page/{file}", servePage)
	mux.HandleFunc("GET /series", seriesHandler(samples, o.Control.Cluster))
	if o.Ledger != nil {
		e := entities{o.Ledger}
		e.routes(mux)
		e.parkedRoutes(mux)
	}
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		body, err := json.MarshalIndent(cached.get(r.Context()), "", "  ")
		if err != nil {
			fail(w, http.StatusInternalServerError, "the status cannot be shown")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
	loggers{o.LogLevel, new(atomic.Int64)}.routes(mux)
	mux.HandleFunc("GET /openapi.yaml", serveDocument("application/yaml", func() []byte { return openapiYAML }))
	mux.HandleFunc("GET /openapi.json", serveDocument("application/json", openapiJSON))
	mux.HandleFunc("GET /applied", o.Applied.handler)
	mux.HandleFunc("GET /health", workerHealth(o.Live, o.Ready))
	mux.HandleFunc("GET /health/live", health(o.Live))
	mux.HandleFunc("GET /health/ready", health(o.Ready))
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{}))
	return mux
}

// health answers a probe, with a reason where it fails.
func health(ask func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := ask(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

// workerHealth is Kafka Connect's GET /health.
func workerHealth(live, ready func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		code, status, message := http.StatusOK, "healthy", "This instance works, or stands by for one that does."
		if err := ready(); err != nil {
			code, status, message = http.StatusServiceUnavailable, "starting", err.Error()
		}
		if err := live(); err != nil {
			code, status, message = http.StatusInternalServerError, "unhealthy", err.Error()
		}
		write(w, code, map[string]string{"status": status, "message": message})
	}
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
