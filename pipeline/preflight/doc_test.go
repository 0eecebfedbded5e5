package preflight

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Codes are relied on by scripts: each that the source names stands in docs/check.md,
// and has a fix.
func TestCodesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`c\.(?:find\(\w+|failed\(|addFindings\()[, ]*"([a-z_.]+)"(?:, [^,]+, ("")?)?`)
	seen := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range code.FindAllStringSubmatch(string(source), -1) {
			seen++
			if m[2] == `""` {
				t.Errorf("%s: %s has no fix", file, m[1])
			}
			if !strings.Contains(string(page), "`"+m[1]+"`") {
				t.Errorf("%s: docs/check.md lacks %s", file, m[1])
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d codes were looked at", seen)
	}
}
