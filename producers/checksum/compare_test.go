package checksum_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/producers/checksum"
)

const people = "CREATE TABLE people (team int, id int, name text, email text, PRIMARY KEY (team, id))"

func seedPeople(w *world) {
	w.both("INSERT INTO people SELECT i % 7, i, 'name ' || i, 'p' || i || '@corp.example' FROM generate_series(1, 1000) i")
}

// What somebody changed, deleted or inserted in the mirror is found, counted, and named
// by key and column; what is the same is not.
func TestSeededFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, people)
	seedPeople(w)
	if r := w.compare("people"); r.Verdict != checksum.Clean || r.Tables[0].Rows != 1000 || r.Tables[0].Ranges < 10 || r.Tables[0].Read != 0 {
		t.Fatalf("two equal tables: %+v", r.Tables[0])
	}
	w.exec(w.mirror, "UPDATE people SET name = NULL WHERE id = 14")
	w.exec(w.mirror, "UPDATE people SET name = '', email = 'somebody@corp.example' WHERE id = 15")
	w.exec(w.mirror, "DELETE FROM people WHERE id = 1000")
	w.exec(w.mirror, "INSERT INTO people VALUES (-1, 1), (3, 5000), (9, 1)")
	w.exec(w.source, "UPDATE people SET email = NULL WHERE id = 500") // nobody tells the mirror
	r := w.compare("people")
	got := r.Tables[0]
	if r.Verdict != checksum.Drift || got.Verdict != checksum.Drift || got.Missing.Count != 1 || got.Extra.Count != 3 || got.Different.Count != 3 || got.Unsettled != 0 {
		t.Fatalf("%+v", got)
	}
	want := map[string]string{
		"missing [6 1000]": "[]", "extra [-1 1]": "[]", "extra [3 5000]": "[]", "extra [9 1]": "[]",
		"different [0 14]": "[name]", "different [1 15]": "[name email]", "different [3 500]": "[email]",
	}
	found := map[string]string{}
	for what, f := range map[string]checksum.Found{"missing": got.Missing, "extra": got.Extra, "different": got.Different} {
		for _, s := range f.Samples {
			found[what+" "+fmt.Sprint(s.Key)] = fmt.Sprint(s.Columns)
		}
	}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
	for _, fix := range []string{"backfill --table public.people", "replay transform --rebuild"} {
		if !strings.Contains(got.Fix, fix) {
			t.Errorf("the fix %q does not say %q", got.Fix, fix)
		}
	}
	if n := w.slots(); n != 0 {
		t.Errorf("%d slots are left", n)
	}
}

// Keys that may be personal are shown as digests.
func TestPersonalKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE accounts (email text PRIMARY KEY, name text)")
	w.exec(w.source, `INSERT INTO accounts VALUES ('jane@corp.example', 'Jane'), ('a\b''c', 'tricky')`)
	got := w.compare("accounts").Tables[0]
	if got.Missing.Count != 2 || strings.Contains(fmt.Sprint(got), "corp.example") || strings.Contains(fmt.Sprint(got), "Jane") {
		t.Errorf("%+v", got)
	}
}

// A table that is empty on one side is read to a bounded amount at a time, either way.
func TestAllOfATable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, people, "CREATE TABLE others (id int PRIMARY KEY, v text)")
	w.exec(w.source, "INSERT INTO people SELECT 1, i FROM generate_series(1, 250) i")
	w.exec(w.mirror, "INSERT INTO others SELECT i, 'v' FROM generate_series(1, 250) i")
	r := w.compare("people", "others")
	if p, o := r.Tables[0], r.Tables[1]; p.Missing.Count != 250 || p.Differ() != 250 || o.Extra.Count != 250 || o.Differ() != 250 || len(o.Extra.Samples) != 10 {
		t.Errorf("%+v, %+v", p, o)
	}
}

// A row whose large value no record carried is counted apart, while all else of it is
// the same.
func TestIncompleteRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, people)
	seedPeople(w)
	w.exec(w.mirror, "UPDATE people SET name = NULL WHERE id IN (1, 2)")
	w.exec(w.mirror, "UPDATE people SET email = NULL WHERE id = 2")
	w.lacks = func(key []string) []string {
		if key[1] == "1" || key[1] == "2" {
			return []string{"name"}
		}
		return nil
	}
	if got := w.compare("people").Tables[0]; got.Incomplete != 1 || got.Differ() != 1 || got.Different.Count != 1 {
		t.Errorf("%+v", got)
	}
}

// A mirror that does not follow: what is equal is clean all the same, what differs is
// not known.
func TestBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, people)
	seedPeople(w)
	w.behind = "the pipeline does not run"
	if r := w.compare("people"); r.Verdict != checksum.Clean {
		t.Errorf("%+v", r.Tables[0])
	}
	w.exec(w.source, "UPDATE people SET name = 'new' WHERE id = 5")
	if r := w.compare("people"); r.Verdict != checksum.Unknown || r.Tables[0].Unsettled != 1 || r.Tables[0].Why != w.behind {
		t.Errorf("%+v", r.Tables[0])
	}
}

// Another shape than the mirror's is said, and no difference.
func TestAnotherShape(t *testing.T) {
	t.Parallel()
	w := newWorld(t, people, "CREATE TABLE gone (id int PRIMARY KEY)", "CREATE TABLE other (id int PRIMARY KEY, v int)")
	seedPeople(w)
	tables := w.tables("people", "gone", "other")
	w.exec(w.source, "ALTER TABLE people DROP COLUMN name")
	w.exec(w.source, "DROP TABLE gone")
	w.exec(w.source, "ALTER TABLE other ALTER v TYPE bigint")
	r, err := checksum.Compare(t.Context(), checksum.Config{}, w.deps, tables)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"no column name", "not publish it", "bigint in the source and integer"} {
		if got := r.Tables[i]; got.Verdict != checksum.Unknown || !strings.Contains(got.Why, want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}
