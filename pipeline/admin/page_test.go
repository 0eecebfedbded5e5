package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/testenv"
)

// pageWorld is a browser before the real handler over a real ledger.
type pageWorld struct {
	*testing.T
	shape  *shape
	pool   *pgxpool.Pool
	status func(*Status)
	server *httptest.Server
	down   bool
	mu     sync.Mutex
	asked  []string // changes, as METHOD path
	tab    context.Context
	faults []string // what the browser complained about
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	testenv.Missing(t, "Chromium (apt-get install chromium)")
	return ""
}

func openPage(t *testing.T, token string, status func(*Status)) *pageWorld {
	t.Helper()
	path := chromium(t)
	pool := seededLedger(t)
	w := &pageWorld{T: t, shape: &shape{}, pool: pool, status: status}
	options := Options{Listen: "here:8710", Token: token, Version: "v1", Control: acme{w.shape}, Metrics: prometheus.NewRegistry(), Ledger: pool, Collect: w.collect}
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
	browser, closeBrowser := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(chromedp.ExecPath(path), chromedp.NoSandbox))
	t.Cleanup(closeBrowser)
	tab, stop := context.WithTimeout(browser, 90*time.Second)
	t.Cleanup(stop)
	w.tab = tab
	if err := chromedp.Listen(tab, w.hear); err != nil {
		t.Fatal(err)
	}
	return w
}

// hear keeps what the browser complains about.
func (w *pageWorld) hear(e any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		w.faults = append(w.faults, fmt.Sprintf("%+v", e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		w.faults = append(w.faults, fmt.Sprintf("console %v", e.Type))
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" {
			w.faults = append(w.faults, e.Entry.Text)
		}
	}
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

// run does an action, or ends the test with what is known of the page.
func run[T any](w *pageWorld, action chromedp.Action[T]) T {
	w.Helper()
	v, err := chromedp.Run(w.tab, action)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.Fatalf("%v; the browser said %q; changes %q", err, w.faults, w.asked)
	}
	return v
}

func call[P any](w *pageWorld, command cdp.Command[P, cdp.Empty], params P) {
	w.Helper()
	if _, err := chromedp.Call(w.tab, command, params); err != nil {
		w.Fatal(err)
	}
}

func (w *pageWorld) load(width, height int64, scheme string) {
	w.Helper()
	call(w, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
	call(w, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	run(w, chromedp.Navigate(w.server.URL+"/"))
}

// until waits for a JavaScript expression to be true.
func (w *pageWorld) until(expression string) {
	w.Helper()
	run(w, chromedp.Poll[bool]("Boolean("+expression+")", chromedp.WithPollingTimeout(20*time.Second)))
}

func (w *pageWorld) value(expression string) string {
	w.Helper()
	return run(w, chromedp.Evaluate[string]("String("+expression+")"))
}

// shoot writes a screenshot of the whole page where BACKSTITCH_SCREENSHOTS names a
// directory, else to the test's own.
func (w *pageWorld) shoot(name string) {
	w.Helper()
	dir := os.Getenv("BACKSTITCH_SCREENSHOTS")
	if dir == "" {
		dir = w.TempDir()
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), run(w, chromedp.FullScreenshot(100)), 0o600); err != nil {
		w.Fatal(err)
	}
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
			w.load(width, 900, scheme)
			w.until(`document.querySelectorAll(".groups > li").length >= 3 && document.querySelector(".hint").textContent !== "" && document.querySelectorAll("#figures figure").length === 8`)
			if over := w.value(`document.documentElement.scrollWidth - innerWidth`); !strings.HasPrefix(over, "-") && over != "0" {
				t.Errorf("%s at %d px: the page is %s px wider than its window", scheme, width, over)
			}
			if low := w.value(lowContrast); low != "" {
				t.Errorf("%s at %d px: contrast below 4.5:1 (WCAG AA): %s", scheme, width, low)
			}
			w.shoot(fmt.Sprintf("%s-%d", scheme, width))
		}
	}
	if nameless := w.value(namelessControls); nameless != "" {
		t.Errorf("controls without a name: %s", nameless)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.faults) > 0 {
		t.Errorf("the browser complained: %q", w.faults)
	}
}
