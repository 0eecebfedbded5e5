// Package browser opens our pages in Chromium, as a person does, and asks it what that
// person would see.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/backstitch/backstitch/integration/testenv"
)

// patience bounds a test's use of its tab; CI shares two cores.
const patience = 5 * time.Minute

// Tab is one tab of a browser of the test's own.
type Tab struct {
	*testing.T
	Context context.Context
	mu      struct {
		sync.Mutex
		faults, fetched []string
	}
}

// Open starts Chromium, or skips where there is none.
func Open(t *testing.T) *Tab {
	t.Helper()
	b := &Tab{T: t}
	ctx, closeBrowser := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(chromedp.ExecPath(chromium(t)), chromedp.NoSandbox))
	t.Cleanup(closeBrowser)
	tab, stop := context.WithTimeout(ctx, patience)
	t.Cleanup(stop)
	b.Context = tab
	if err := chromedp.Listen(tab, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
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

func (b *Tab) hear(e any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case *network.EventRequestWillBeSent:
		b.mu.fetched = append(b.mu.fetched, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.mu.faults = append(b.mu.faults, fmt.Sprintf("%+v", e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		b.mu.faults = append(b.mu.faults, fmt.Sprintf("console %v", e.Type))
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" {
			b.mu.faults = append(b.mu.faults, e.Entry.Text)
		}
	}
}

// Faults are what the browser complained about.
func (b *Tab) Faults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.mu.faults)
}

// Fetched are the URLs that it asked for.
func (b *Tab) Fetched() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.mu.fetched)
}

// Do does an action, or ends the test with what is known of the page.
func Do[T any](b *Tab, action chromedp.Action[T]) T {
	b.Helper()
	v, err := chromedp.Run(b.Context, action)
	if err != nil {
		b.Fatalf("%v; the browser said %q", err, b.Faults())
	}
	return v
}

// Call sends a command that answers nothing.
func Call[P any](b *Tab, command cdp.Command[P, cdp.Empty], params P) {
	b.Helper()
	if _, err := chromedp.Call(b.Context, command, params); err != nil {
		b.Fatal(err)
	}
}

// Show opens a page at a width in CSS pixels, in the light or the dark scheme.
func (b *Tab) Show(url string, width int64, scheme string) {
	b.Helper()
	b.Emulate("", width, scheme)
	Do(b, chromedp.Navigate(url))
}

// Emulate changes what an open page is shown on: media is "print" for paper, "" for a
// screen.
func (b *Tab) Emulate(media string, width int64, scheme string) {
	b.Helper()
	Call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
	Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media, Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// Value is what a JavaScript expression comes to, as text.
func (b *Tab) Value(expression string) string {
	b.Helper()
	return Do(b, chromedp.Evaluate[string]("String("+expression+")"))
}

// Until waits for a JavaScript expression to be true.
func (b *Tab) Until(expression string) {
	b.Helper()
	Do(b, chromedp.Poll[bool]("Boolean("+expression+")", chromedp.WithPollingTimeout(time.Minute)))
}

// Shoot writes a picture of the whole page where BACKSTITCH_SCREENSHOTS names a
// directory, for a person to look at.
func (b *Tab) Shoot(name string) {
	b.Helper()
	dir := os.Getenv("BACKSTITCH_SCREENSHOTS")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), Do(b, chromedp.FullScreenshot(100)), 0o600); err != nil {
		b.Fatal(err)
	}
}

// LooksRight fails what a person would see at once, or what a screen reader would miss.
func (b *Tab) LooksRight(what string) {
	b.Helper()
	if over := b.Value(`document.documentElement.scrollWidth - innerWidth`); !strings.HasPrefix(over, "-") && over != "0" {
		b.Errorf("%s: the page is %s px wider than its window", what, over)
	}
	for problem, expression := range map[string]string{
		"contrast below 4.5:1 (WCAG AA)": lowContrast, "headings that skip a level": skippedHeadings, "tables without headers": bareTables,
		"controls without a name": namelessControls, "links to nothing": brokenLinks,
	} {
		if found := b.Value(expression); found != "" {
			b.Errorf("%s: %s: %s", what, problem, found)
		}
	}
}
