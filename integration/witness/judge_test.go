package witness

import (
	"fmt"
	"slices"
	"testing"

	"github.com/backstitch/backstitch/schemas"
)

// complaints is a testing.TB that keeps what a judge says.
type complaints struct {
	testing.TB
	said []string
}

func (c *complaints) Helper()                      {}
func (c *complaints) Errorf(f string, args ...any) { c.said = append(c.said, fmt.Sprintf(f, args...)) }

// A witness that cannot object proves nothing: each way in which a topic can be
// wrong is found, and a right one is not complained about.
func TestJudgeObjects(t *testing.T) {
	t.Parallel()
	row := func(name string) map[string]any { return map[string]any{"id": float64(1), "name": name} }
	avro := func(name string) map[string]any { return map[string]any{"id": int64(1), "name": name} }
	history := []change{{0, "c", row("a")}, {10, "u", row("b")}, {11, "d", nil}, {12, "c", row("c")}, {13, "u", row("d")}}
	right := []event{
		{"r", 0, "1", avro("b")}, {"d", 11, "2", nil}, {"", 0, "2", nil}, {"c", 12, "3", avro("c")}, {"r", 0, "4", avro("c")}, {"u", 13, "5", avro("d")},
	}
	for name, c := range map[string]struct {
		damage func([]event) []event
		fine   bool
	}{
		"right":                    {func(e []event) []event { return e }, true},
		"an event is missing":      {func(e []event) []event { return slices.Delete(e, 3, 4) }, false},
		"the last is missing":      {func(e []event) []event { return e[:5] }, false},
		"an event came twice":      {func(e []event) []event { return append(e, e[5]) }, false},
		"two are swapped":          {func(e []event) []event { e[3], e[5] = e[5], e[3]; return e }, false},
		"another value":            {func(e []event) []event { e[5].new = avro("x"); return e }, false},
		"another transaction":      {func(e []event) []event { e[5].xid = 14; return e }, false},
		"another operation":        {func(e []event) []event { e[3].op = "u"; return e }, false},
		"a stale read":             {func(e []event) []event { e[4].new = avro("b"); return e }, false},
		"read after a restart":     {func(e []event) []event { return e[1:] }, true},
		"never read":               {func(e []event) []event { return e[5:] }, false},
		"a read too early":         {func(e []event) []event { e[0].new = avro("a"); return e }, false},
		"a version went back":      {func(e []event) []event { e[4].version = "0"; return e }, false},
		"a tombstone without that": {func(e []event) []event { return slices.Delete(e, 1, 2) }, false},
		"everything is missing":    {func([]event) []event { return nil }, false},
	} {
		judged := &complaints{TB: t}
		judge(judged, schemas.Table{Schema: "public", Name: "users"}, "key", history, c.damage(slices.Clone(right)), map[int64]bool{}, map[int64]bool{})
		if c.fine != (len(judged.said) == 0) {
			t.Errorf("%s: the judge says %q", name, judged.said)
		}
	}
}
