package admin

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// docs/rest.md names every route, and every difference from Kafka Connect.
func TestDocumentationNamesRoutesAndDifferences(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/rest.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if n := fmt.Sprintf("asked %d things", len(recordings(t))); !strings.Contains(text, n) {
		t.Errorf("docs/rest.md does not say that Kafka Connect was %s", n)
	}
	for _, operation := range describe(t).documented(false) {
		method, path, _ := strings.Cut(operation, " ")
		if !strings.Contains(text, operation+"`") && !strings.Contains(text, "`"+method+"` and `") && !strings.Contains(text, path+"`") {
			t.Errorf("docs/rest.md does not name %s", operation)
		}
	}
	for _, d := range differences {
		if !strings.Contains(text, d.why) {
			t.Errorf("docs/rest.md does not say %q", d.why)
		}
	}
}
