package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/backstitch/backstitch/consumers"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || !bytes.Equal(want, got) {
		t.Errorf("%s is not what is written (%v): go test ./pipeline/rehearsal/report -run Golden -update, and look at the difference", path, err)
	}
}

// What scripts and people read: fields are added, never renamed.
func TestGolden(t *testing.T) {
	t.Parallel()
	r := example(t)
	var raw bytes.Buffer
	if err := r.WriteJSON(&raw); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", raw.Bytes())
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", text.Bytes())
}

// A role's name does not steer the terminal.
func TestTextHasNoControlCharacters(t *testing.T) {
	t.Parallel()
	r := &Report{Run: Run{Name: "a\x1b[2Jb"}, Findings: []Finding{{Class: DuplicateSlug, Count: 1, Details: []Detail{{"\x1b]0;x\a\u009b", 1}}}}}
	r.Finish()
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsAny(text.Bytes(), "\x1b\a") || bytes.Contains(text.Bytes(), []byte("\u009b")) {
		t.Errorf("%q", text.String())
	}
}

func TestReadReturnsWhatWasWritten(t *testing.T) {
	t.Parallel()
	r := example(t)
	path := filepath.Join(t.TempDir(), "report.json")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, again) {
		t.Error("the report that was read is not the one that was written")
	}
	for text, want := range map[string]string{
		`{"format": 2, "run": {"version": "v9"}}`: "format 2", `{"ok": true}`: "no report", `not JSON`: "no report",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%s: %v, want an error with %q", text, err, want)
		}
	}
}

// Every reason and every loss has its words here, so that none is a bare name.
func TestEveryClassHasItsWords(t *testing.T) {
	t.Parallel()
	var classes []Class
	for _, r := range consumers.Reasons() {
		classes = append(classes, Class(r))
	}
	for _, l := range consumers.Losses() {
		classes = append(classes, Class(l))
	}
	for _, e := range entries {
		classes = append(classes, e.class)
	}
	for _, c := range classes {
		if e, at := describe(c); at == len(entries) || e.title == "" || e.advice.Means == "" || e.advice.Fix == "" {
			t.Errorf("%s: %+v", c, e)
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outcomes    map[Outcome]int64
		interrupted string
		want        Verdict
	}{
		{map[Outcome]int64{Created: 3, Updated: 1}, "", Complete},
		{map[Outcome]int64{Created: 3, WithLoss: 1}, "", WithLosses},
		{map[Outcome]int64{Created: 3, WithLoss: 1, Pending: 1}, "", Unfinished},
		{map[Outcome]int64{Created: 3, Waiting: 1}, "", Unfinished},
		{map[Outcome]int64{Created: 3}, "it was stopped", Unfinished},
		{map[Outcome]int64{Created: 3, Pending: 1, Parked: 1}, "it was stopped", Incomplete},
		{map[Outcome]int64{Created: 3, Blocked: 1}, "", Incomplete},
		{map[Outcome]int64{Created: 3, Consent: 1}, "", Incomplete},
		{nil, "", Unfinished},
	} {
		r := &Report{Run: Run{Interrupted: c.interrupted}, Kinds: []Kind{{Kind: consumers.Member, Outcomes: c.outcomes}}}
		r.Finish()
		if r.Verdict != c.want {
			t.Errorf("%v, interrupted %q: %s, want %s", c.outcomes, c.interrupted, r.Verdict, c.want)
		}
	}
}

func TestTheSlowestLimitDecides(t *testing.T) {
	t.Parallel()
	r := &Report{Estimate: Estimate{Limits: []Limit{{Name: "all", Calls: 600, Rate: 60}, {Name: "hashes", Calls: 3_600, Rate: 1}, {Name: "off", Calls: 9}}}}
	r.Finish()
	if e := r.Estimate; e.Seconds != 3_600 || e.Hours != 1 || e.Decides != "hashes" || e.Limits[0].Seconds != 10 {
		t.Errorf("%+v", e)
	}
}

// A finding's parts add up, however many names they have.
func TestDetailsAreBounded(t *testing.T) {
	t.Parallel()
	var f Finding
	for i := range 3 * maxDetails {
		f.detail(string(rune('α' + i)))
		f.detail("α")
	}
	var sum int64
	for _, d := range f.Details {
		sum += d.Count
	}
	if len(f.Details) > maxDetails+1 || sum != 6*maxDetails {
		t.Errorf("%d names, %d entities", len(f.Details), sum)
	}
}
