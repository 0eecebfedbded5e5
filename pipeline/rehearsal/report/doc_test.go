package report

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
)

// docs/rehearse-report.md names every field of the JSON form, every class beyond reasons
// and losses, and every word of the closed lists.
func TestReportIsDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../../docs/rehearse-report.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	var lacks func(typ reflect.Type, row string)
	lacks = func(typ reflect.Type, row string) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Anonymous {
				lacks(f.Type, row)
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !named(page, row, name) {
				t.Errorf("docs/rehearse-report.md lacks %s.%s", row, name)
			}
			inner, list := f.Type, ""
			for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
				if inner.Kind() == reflect.Slice {
					list = "[]"
				}
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
				lacks(inner, strings.TrimPrefix(row+"."+name+list, "."))
			}
		}
	}
	lacks(reflect.TypeFor[Report](), "")
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

// named says whether a row of the page's tables, of a field or of one around it, has a
// name.
func named(page, row, name string) bool {
	for line := range strings.Lines(page) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if row == "" {
			if strings.Contains(cell, "`"+name+"`") || strings.Contains(cell, "`"+name+"[]`") {
				return true
			}
			continue
		}
		for around := row; around != ""; around = parent(around) {
			own := strings.Contains(cell, "`"+around+"`") || strings.Contains(cell, "`."+around[strings.LastIndex(around, ".")+1:]+"`") && strings.Contains(cell, "`"+parent(around)+".")
			if own && (strings.Contains(line, "`"+name+"`") || strings.Contains(line, "`"+name+"[]`")) {
				return true
			}
		}
	}
	return false
}

func parent(row string) string { return row[:max(0, strings.LastIndex(row, "."))] }
