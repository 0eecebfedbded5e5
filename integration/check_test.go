package integration_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/integration/harness"
)

// What scripts rely on: warnings leave the code at 0, errors make it 2, and the JSON
// says the same; nothing is made anywhere.
func TestCheckCommand(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(11) // the last team is deleted
	w := harness.New(t, o)
	report := func(path string, want int) (r struct {
		OK       bool
		Findings []struct{ Severity, Code, Where, Key, What, Fix string }
		Run      struct {
			Topics []struct{ Exists bool }
			Slot   struct{ Exists bool }
		}
		Backfill struct{ Organizations, Members, Calls, Seconds int64 }
		Unfed    []struct {
			Table string
			Rows  int64
			Keys  []string
		}
	},
	) {
		t.Helper()
		out, code := w.Command(t, "check", "-o", "json", "-c", path)
		if err := json.Unmarshal([]byte(out), &r); err != nil || code != want {
			t.Fatalf("check exits with %d, want %d, and says %s", code, want, out)
		}
		for _, f := range r.Findings {
			if f.Severity == "" || f.Code == "" || !strings.Contains(f.Where, ".yaml:") || f.Key == "" || f.What == "" {
				t.Errorf("a finding without its place or reason: %+v", f)
			}
		}
		return r
	}
	r := report(w.Config, 0)
	if !r.OK || r.Backfill.Organizations != 10 || r.Backfill.Calls != r.Backfill.Organizations+r.Backfill.Members || len(r.Run.Topics) != 6 {
		t.Errorf("the report is %+v", r)
	}
	if len(r.Unfed) == 0 || r.Unfed[0].Table != "public.teams" || r.Unfed[0].Rows != 1 || r.Unfed[0].Keys[0] != "11" {
		t.Errorf("left out are %+v", r.Unfed)
	}
	if r := report(w.Config, 0); r.Run.Topics[0].Exists || r.Run.Slot.Exists {
		t.Error("a check made something")
	}
	bad := w.Variant(t, "bad", func(o *harness.Options) { o.Members = strings.Replace(o.Members, "u.name,", "u.name AS nickname,", 1) })
	if r := report(bad, 2); r.OK || r.Findings[0].Severity != "error" || !strings.Contains(r.Findings[0].What, "nickname") {
		t.Errorf("the report is %+v", r)
	}
	if out, code := w.Command(t, "check", "-c", bad); code != 2 || !strings.Contains(out, "not ready (errors: ") {
		t.Errorf("it exits with %d: %s", code, out)
	}
}
