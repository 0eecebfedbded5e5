package report

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{
		0: "0 s", 0.2: "1 s", 59.5: "1 min", 60: "1 min", 169.4: "2 min 50 s", 3600: "1 h", 3_661: "1 h 1 min", 86_399: "23 h 59 min",
		86_400: "1 d", 169_231: "1 d 23 h", 86_400 * 1_200: "1,200 d", -1: "0 s", 1e300: "104,249,991,374 d 7 h",
	} {
		if got := span(seconds); got != want {
			t.Errorf("%g s: %q, want %q", seconds, got, want)
		}
	}
}

// What is almost all is not all, and what is almost nothing is not nothing.
func TestPercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		part, whole int64
		want        string
	}{{0, 0, "–"}, {0, 9, "0 %"}, {9, 9, "100 %"}, {1, 3, "33.3 %"}, {1, 1_000_000, "<0.1 %"}, {999_999, 1_000_000, ">99.9 %"}} {
		if got := percent(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.part, c.whole, got, c.want)
		}
	}
}

// The page of a rehearsal looks like the status page: the colours are the same.
func TestColoursAreTheStatusPages(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "admin", "page", "style.css"))
	if err != nil {
		t.Fatal(err)
	}
	root := regexp.MustCompile(`(?s)^:root \{.*?\n\}\n`).FindString(string(raw))
	if root == "" || !strings.HasPrefix(style, root) {
		t.Errorf("page.css does not begin with the colours of pipeline/admin/page/style.css:\n%s", root)
	}
}
