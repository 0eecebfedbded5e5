package transform

import (
	"testing"

	"github.com/backstitch/backstitch/schemas"
)

// change makes an event of a table (id, name, big): key, then name and big, "~"
// for a value left unchanged, "" for NULL.
func change(key, name, big string) *event {
	values := make([]any, 3)
	for i, v := range []string{key, name, big} {
		switch v {
		case "~":
			values[i] = toasted{}
		case "":
		default:
			values[i] = v
		}
	}
	r := row(values)
	return &event{key: rowKey(r[:1]), row: r}
}

func gone(key string) *event {
	r := row([]any{key})
	return &event{key: rowKey(r), row: r, deleted: true}
}

func movedAway(key string) *event { e := gone(key); e.movedAway = true; return e }

func movedFrom(e *event, old string) *event { e.movedFrom = rowKey(row([]any{old})); return e }

func TestFold(t *testing.T) { // hazards C15, S6
	t.Parallel()
	type want struct{ key, name, big, base string }
	const deleted = "deleted"
	tests := map[string]struct {
		events []*event
		want   []want
	}{
		"the last image wins":                     {[]*event{change("1", "a", "x"), change("1", "b", "y")}, []want{{"1", "b", "y", "1"}}},
		"an unchanged value keeps an earlier one": {[]*event{change("1", "a", "x"), change("1", "b", "~")}, []want{{"1", "b", "x", "1"}}},
		"an earlier NULL is a value":              {[]*event{change("1", "a", ""), change("1", "b", "~")}, []want{{"1", "b", "", "1"}}},
		"nothing earlier: the mirror's":           {[]*event{change("1", "a", "~"), change("1", "b", "~")}, []want{{"1", "b", "~", "1"}}},
		"set between":                             {[]*event{change("1", "a", "~"), change("1", "b", "z"), change("1", "c", "~")}, []want{{"1", "c", "z", "1"}}},
		"deleted":                                 {[]*event{change("1", "a", "x"), gone("1")}, []want{{key: "1", name: deleted}}},
		"a tombstone after its delete":            {[]*event{gone("1"), gone("1")}, []want{{key: "1", name: deleted}}},
		"made again: nothing of the old row":      {[]*event{change("1", "a", "x"), gone("1"), change("1", "b", "~")}, []want{{"1", "b", "~", ""}}},
		"moved: the mirror's old row":             {[]*event{movedAway("1"), movedFrom(change("2", "a", "~"), "1")}, []want{{key: "1", name: deleted}, {"2", "a", "~", "1"}}},
		"moved after a change": {
			[]*event{change("1", "a", "x"), movedAway("1"), gone("1"), movedFrom(change("2", "b", "~"), "1")},
			[]want{{key: "1", name: deleted}, {"2", "b", "x", "1"}},
		},
		"moved twice": {
			[]*event{movedAway("1"), movedFrom(change("2", "a", "~"), "1"), movedAway("2"), movedFrom(change("3", "a", "~"), "2")},
			[]want{{key: "1", name: deleted}, {key: "2", name: deleted}, {"3", "a", "~", "1"}},
		},
		"moved there and back": {
			[]*event{movedAway("1"), movedFrom(change("2", "a", "~"), "1"), movedAway("2"), movedFrom(change("1", "b", "~"), "2")},
			[]want{{"1", "b", "~", "1"}, {key: "2", name: deleted}},
		},
		"moved, and its old key taken": {
			[]*event{movedAway("1"), movedFrom(change("2", "a", "~"), "1"), change("1", "new", "n")},
			[]want{{"1", "new", "n", ""}, {"2", "a", "~", "1"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := fold(test.events, func(schemas.Version) bool { return false })
			if len(got) != len(test.want) {
				t.Fatalf("%d rows, want %d", len(got), len(test.want))
			}
			for i, w := range test.want {
				g := got[i]
				if g.gone != (w.name == deleted) || g.key != rowKey(row([]any{w.key})) {
					t.Fatalf("row %d: %+v, want %+v", i, g, w)
				}
				if g.gone {
					continue
				}
				expect := change(w.key, w.name, w.big).row
				for c := range expect {
					if g.row[c].State != expect[c].State || string(g.row[c].Data) != string(expect[c].Data) {
						t.Errorf("row %d column %d: %v, want %v", i, c, g.row[c], expect[c])
					}
				}
				base := ""
				if w.base != "" {
					base = rowKey(row([]any{w.base}))
				}
				if g.base != base {
					t.Errorf("row %d takes what it lacks from %q, want %q", i, g.base, base)
				}
			}
		})
	}
}

func TestRowKeysAreDistinct(t *testing.T) {
	t.Parallel()
	a, b := rowKey(row([]any{"1", "23"})), rowKey(row([]any{"12", "3"}))
	if a == b {
		t.Fatal("two keys are one")
	}
	values := keyValues(a)
	if len(values) != 2 || string(values[0].Data) != "1" || string(values[1].Data) != "23" {
		t.Fatalf("a key came back as %v", values)
	}
}
