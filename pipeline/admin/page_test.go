package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/backstitch/backstitch/integration/browser"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// pageWorld is a browser before the real handler over a real ledger.
type pageWorld struct {
	*browser.Tab
	shape  *shape
	pool   *pgxpool.Pool
	status func(*Status)
	server *httptest.Server
	down   bool
	mu     sync.Mutex
	asked  []string // changes, as METHOD path
}

func openPage(t *testing.T, token string, status func(*Status)) *pageWorld {
	t.Helper()
	w := &pageWorld{Tab: browser.Open(t), shape: &shape{}, pool: seededLedger(t), status: status}
	options := Options{Listen: "here:8710", Token: token, Version: "v1", Control: acme{w.shape}, Metrics: prometheus.NewRegistry(), Ledger: w.pool, Collect: w.collect}
	samples := NewSeries(func() string { return options.Listen }, options.Collect, options.Metrics)
	options.Instance = samples.instance
	if status == nil {
		anHour(samples)
	}
	real := handler(options, samples)
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		down := w.down
		if r.Method != http.MethodGet {
			w.asked = append(w.asked, r.Method+" "+r.URL.RequestURI())
		}
		w.mu.Unlock()
		if down {
			panic(http.ErrAbortHandler)
		}
		real.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.server.Close)
	return w
}

func (w *pageWorld) collect(ctx context.Context) Status {
	s := running()
	var err error
	if s.Entities, err = ledger.Summarize(ctx, w.pool); err != nil {
		s.Problems = append(s.Problems, err.Error())
	}
	s.Consents, _ = ledger.List(ctx, w.pool, false) // a test would see that they are missing
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status != nil {
		w.status(&s)
	}
	return s
}

func (w *pageWorld) changes() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.asked, "\n")
}

func TestPageLoadsInEveryWidthAndTheme(t *testing.T) {
	t.Parallel()
	w := openPage(t, "", nil)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1440, 1024, 390} {
			w.Show(w.server.URL+"/", width, scheme)
			w.Until(`document.querySelectorAll(".groups > li").length >= 3 && document.querySelector(".hint").textContent !== "" && document.querySelectorAll("#figures figure").length === 8`)
			w.LooksRight(fmt.Sprintf("%s at %d px", scheme, width))
			w.Shoot(fmt.Sprintf("%s-%d", scheme, width))
		}
	}
	if faults := w.Faults(); len(faults) > 0 {
		t.Errorf("the browser complained: %q", faults)
	}
}
