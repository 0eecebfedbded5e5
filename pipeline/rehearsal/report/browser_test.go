package report

import (
	"bytes"
	"context"
	"fmt"
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
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/backstitch/backstitch/integration/testenv"
)

// browser shows a report's page from a file, as a person opens it.
type browser struct {
	*testing.T
	tab    context.Context
	mu     sync.Mutex
	faults []string // what the browser complained about
	asked  []string // what it fetched
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		testenv.Missing(t, "Chromium (apt-get install chromium)")
	}
	b := &browser{T: t}
	ctx, closeBrowser := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(chromedp.ExecPath(path), chromedp.NoSandbox))
	t.Cleanup(closeBrowser)
	tab, stop := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(stop)
	b.tab = tab
	if err := chromedp.Listen(tab, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) hear(e any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, fmt.Sprintf("%+v", e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		b.faults = append(b.faults, fmt.Sprintf("console %v", e.Type))
	case *log.EventEntryAdded:
		b.faults = append(b.faults, e.Entry.Text)
	}
}

func act[T any](b *browser, action chromedp.Action[T]) T {
	b.Helper()
	v, err := chromedp.Run(b.tab, action)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.Fatalf("%v; the browser said %q", err, b.faults)
	}
	return v
}

func tell[P any](b *browser, command cdp.Command[P, cdp.Empty], params P) {
	b.Helper()
	if _, err := chromedp.Call(b.tab, command, params); err != nil {
		b.Fatal(err)
	}
}

// open writes a report's page and shows it.
func (b *browser) open(r *Report, width int64, scheme string) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "report.html")
	if err := os.WriteFile(path, html(b.T, r), 0o600); err != nil {
		b.Fatal(err)
	}
	tell(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
	tell(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	act(b, chromedp.Navigate("file://"+path))
}

func (b *browser) value(expression string) string {
	b.Helper()
	return act(b, chromedp.Evaluate[string]("String("+expression+")"))
}

// shoot writes a picture of the whole page where BACKSTITCH_SCREENSHOTS names a
// directory, for a person to look at.
func (b *browser) shoot(name string) {
	b.Helper()
	dir := os.Getenv("BACKSTITCH_SCREENSHOTS")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), act(b, chromedp.FullScreenshot(100)), 0o600); err != nil {
		b.Fatal(err)
	}
}

// looksRight asks the browser what a person would see at once.
func (b *browser) looksRight(what string) {
	b.Helper()
	if over := b.value(`document.documentElement.scrollWidth - innerWidth`); !strings.HasPrefix(over, "-") && over != "0" {
		b.Errorf("%s: the page is %s px wider than its window", what, over)
	}
	if low := b.value(lowContrast); low != "" {
		b.Errorf("%s: contrast below 4.5:1 (WCAG AA): %s", what, low)
	}
	if gaps := b.value(skippedHeadings); gaps != "" {
		b.Errorf("%s: headings that skip a level: %s", what, gaps)
	}
	if bare := b.value(bareTables); bare != "" {
		b.Errorf("%s: table cells without a header: %s", what, bare)
	}
	if broken := b.value(brokenLinks); broken != "" {
		b.Errorf("%s: links to nothing: %s", what, broken)
	}
}

func TestPageInEveryWidthAndTheme(t *testing.T) {
	t.Parallel()
	b := openBrowser(t)
	for name, r := range map[string]*Report{"example": example(t), "hostile": hostile(), "empty": empty(), "million": millions()} {
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{1200, 390} {
				b.open(r, width, scheme)
				b.looksRight(fmt.Sprintf("%s, %s, %d px", name, scheme, width))
				b.shoot(fmt.Sprintf("%s-%s-%d", name, scheme, width))
			}
		}
		if hacked := b.value(`document.title === "hacked" || document.querySelector("script, img, iframe, object, link, form") !== null`); hacked != "false" {
			t.Errorf("%s: what stands in the report became a part of the page", name)
		}
		// On paper: light, whatever the system's theme is, and nothing wider than the sheet.
		tell(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 690, Height: 1000, DeviceScaleFactor: 1})
		tell(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
		b.looksRight(name + ", on paper")
		if back := b.value(`getComputedStyle(document.body).backgroundColor`); back != "rgb(255, 255, 255)" {
			t.Errorf("%s: paper is %s", name, back)
		}
		b.shoot(name + "-paper")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.asked {
		if !strings.HasPrefix(url, "file:///") || !strings.HasSuffix(url, "/report.html") {
			t.Errorf("the page fetched %s", url)
		}
	}
	if len(b.asked) == 0 || len(b.faults) > 0 {
		t.Errorf("%d requests; the browser complained: %q", len(b.asked), b.faults)
	}
}

// What is tested without a browser: nothing in the file points out of it, and hostile
// names are text.
func TestPageIsOneFile(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*Report{"example": example(t), "hostile": hostile(), "empty": empty()} {
		raw := html(t, r)
		for _, forbidden := range []string{"http://", "https://", "//cdn", "<script", "<img", "<link", "@import", "url(", "ZgotmplZ"} {
			if bytes.Contains(raw, []byte(forbidden)) {
				t.Errorf("%s: the page has %q", name, forbidden)
			}
		}
	}
}
