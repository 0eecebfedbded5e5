package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/integration/browser"
)

// The page is opened from a file, as a person opens it: on wide and narrow screens, in
// both themes, and on paper.
func TestPageInEveryWidthAndTheme(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	path := filepath.Join(t.TempDir(), "report.html")
	for name, r := range map[string]*Report{"example": example(t), "hostile": hostile(), "empty": empty(), "million": millions()} {
		if err := os.WriteFile(path, html(t, r), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{1200, 390} {
				b.Show("file://"+path, width, scheme)
				b.LooksRight(fmt.Sprintf("%s, %s, %d px", name, scheme, width))
				b.Shoot(fmt.Sprintf("%s-%s-%d", name, scheme, width))
			}
		}
		if hacked := b.Value(`document.title === "hacked" || document.querySelector("script, img, iframe, object, link, form") !== null`); hacked != "false" {
			t.Errorf("%s: what stands in the report became a part of the page", name)
		}
		b.Emulate("print", 690, "dark") // paper is light, whatever the system's theme is
		b.LooksRight(name + ", on paper")
		if back := b.Value(`getComputedStyle(document.body).backgroundColor`); back != "rgb(255, 255, 255)" {
			t.Errorf("%s: paper is %s", name, back)
		}
		b.Shoot(name + "-paper")
	}
	fetched := b.Fetched()
	for _, url := range fetched {
		if url != "file://"+path {
			t.Errorf("the page fetched %s", url)
		}
	}
	if faults := b.Faults(); len(fetched) == 0 || len(faults) > 0 {
		t.Errorf("%d requests; the browser complained: %q", len(fetched), faults)
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
		if !strings.Contains(string(raw), `content="default-src 'none'; style-src 'unsafe-inline'"`) {
			t.Errorf("%s: nothing forbids the page to fetch", name)
		}
	}
}
