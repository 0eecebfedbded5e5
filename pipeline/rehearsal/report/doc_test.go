package report

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/integration/jsondoc"
)

// docs/rehearse-report.md names every field of the JSON form, every class beyond reasons
// and losses, and every word of the closed lists.
func TestReportIsDocumented(t *testing.T) {
	t.Parallel()
	const path = "../../../docs/rehearse-report.md"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	jsondoc.Check(t, path, reflect.TypeFor[Report]())
	for _, e := range entries {
		if consumers.Fix(consumers.Reason(e.class)) == "" && consumers.FixLoss(consumers.Loss(e.class)) == "" && !strings.Contains(page, "`"+string(e.class)+"`") {
			t.Errorf("docs/rehearse-report.md lacks the class %s", e.class)
		}
	}
	for _, o := range Outcomes {
		if !strings.Contains(page, "`"+string(o)+"`") {
			t.Errorf("docs/rehearse-report.md lacks the outcome %s", o)
		}
	}
	for _, s := range severities {
		if !strings.Contains(page, "`"+string(s)+"`") {
			t.Errorf("docs/rehearse-report.md lacks the severity %s", s)
		}
	}
	for v := range verdicts {
		if !strings.Contains(page, "`"+string(v)+"`") {
			t.Errorf("docs/rehearse-report.md lacks the verdict %s", v)
		}
	}
}
