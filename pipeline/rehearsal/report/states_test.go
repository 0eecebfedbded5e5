package report

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
)

// rehearse writes the states of some entities.
func rehearse(t *testing.T, path, former string, entities []Entity) *Report {
	t.Helper()
	s, err := CreateStates(path, former)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Discard()
	r := &Report{}
	tally := NewTally(r, s)
	for _, e := range entities {
		if err := tally.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r.Finish()
	return r
}

func member(org, key string, s Standing, desired string) Entity {
	return Entity{Key: consumers.Key{Kind: consumers.Member, Organization: org, Entity: key}, Standing: s, Desired: []byte(desired)}
}

func TestCompareFindsWhatChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	fine, twice := Standing{Outcome: Created}, Standing{Parked, DuplicateEmail}
	before := rehearse(t, old, "", []Entity{
		member("1", "1", fine, `{"email_address": "a@corp.example", "roles": ["x"]}`),
		member("1", "2", twice, `{"email_address": "a@corp.example"}`),
		member("1", "3", fine, `{"email_address": "c@corp.example"}`),
		member("2", "1", fine, `{}`),
	})
	same := []Entity{
		member("2", "1", fine, `{}`),
		member("1", "3", fine, `{"email_address": "c@corp.example", "name": "C"}`),
		member("1", "2", fine, `{"email_address": "b@corp.example"}`),
		member("1", "1", fine, `{"roles": ["x"], "email_address": "a@corp.example"}`), // another order of names is no change
	}
	now := rehearse(t, fresh, old, same)
	if err := now.Compare(before, old, fresh); err != nil {
		t.Fatal(err)
	}
	k := now.Change.Kinds[1]
	if k.Same != 2 || k.Desired.Count != 1 || k.Desired.Samples[0] != (Sample{Organization: "1", Key: "3"}) {
		t.Errorf("same %d, other desired states %+v", k.Same, k.Desired)
	}
	if len(k.Moves) != 1 || k.Moves[0].From != twice || k.Moves[0].To != fine || k.Moves[0].Count != 1 || k.Moves[0].Samples[0].Key != "2" {
		t.Errorf("moves %+v", k.Moves)
	}
	if !k.FieldsKnown || strings.Join(k.Fields, " ") != "email_address name" {
		t.Errorf("fields %v, known %t", k.Fields, k.FieldsKnown)
	}
	if c := now.Change.Classes; len(c) != 1 || c[0].Class != DuplicateEmail || c[0].Before != 1 || c[0].Now != 0 {
		t.Errorf("classes %+v", c)
	}
	if f := now.Change.Fields; len(f) != 1 || f[0].Field != "name" || f[0].Now != 1 {
		t.Errorf("numbers of fields %+v", f)
	}

	other := rehearse(t, fresh, old, append(same[1:], member("2", "9", fine, `{}`)))
	if err := other.Compare(before, old, fresh); err != nil {
		t.Fatal(err)
	}
	k = other.Change.Kinds[1]
	if k.Appeared.Count != 1 || k.Appeared.Samples[0].Key != "9" || k.Vanished.Count != 1 || k.Vanished.Samples[0] != (Sample{Organization: "2", Key: "1"}) || k.FieldsKnown {
		t.Errorf("appeared %+v, vanished %+v, fields known %t", k.Appeared, k.Vanished, k.FieldsKnown)
	}
}

// The same value under another name is another state.
func TestStatesTellFieldsApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	before := rehearse(t, old, "", []Entity{member("1", "1", Standing{Outcome: Created}, `{"trusted_metadata": {"a": 1}}`)})
	now := rehearse(t, fresh, old, []Entity{member("1", "1", Standing{Outcome: Created}, `{"untrusted_metadata": {"a": 1}}`)})
	if err := now.Compare(before, old, fresh); err != nil {
		t.Fatal(err)
	}
	if k := now.Change.Kinds[1]; k.Desired.Count != 1 || strings.Join(k.Fields, " ") != "trusted_metadata untrusted_metadata" {
		t.Errorf("%+v", k)
	}
}

// A record that is cut off anywhere is no end of the file.
func TestCutRecords(t *testing.T) {
	t.Parallel()
	whole := (&record{1, 2, 300, "a\x00b"}).append(nil)
	for n := range whole {
		_, err := readRecord(bufio.NewReader(bytes.NewReader(whole[:n])))
		if want := map[bool]error{true: io.EOF, false: io.ErrUnexpectedEOF}[n == 0]; !errors.Is(err, want) {
			t.Errorf("%d bytes of %d: %v, want %v", n, len(whole), err, want)
		}
	}
	if r, err := readRecord(bufio.NewReader(bytes.NewReader(whole))); err != nil || r != (record{1, 2, 300, "a\x00b"}) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCompareWithoutStatesSaysWhy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	entities := []Entity{member("1", "1", Standing{Outcome: Created}, `{}`)}
	before := rehearse(t, old, "", entities)
	now := rehearse(t, fresh, "", entities) // with a key of its own
	another := rehearse(t, filepath.Join(dir, "another"), old, entities)
	another.Run.Started = another.Run.Started.Add(time.Second)
	if err := now.Compare(another, filepath.Join(dir, "another"), fresh); err != nil || !strings.Contains(now.Change.NoStates, "another rehearsal") {
		t.Errorf("states of another rehearsal: %v, %q", err, now.Change.NoStates)
	}
	raw, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil []byte
		want  string
	}{
		"another key": {raw, "another key"}, "no states": {[]byte("x"), "no file of states"},
		"torn": {raw[:len(raw)-12], "states"}, "absent": {nil, "not there"},
	} {
		path := filepath.Join(dir, name)
		if c.spoil != nil {
			if err := os.WriteFile(path, c.spoil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := now.Compare(before, path, fresh); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(now.Change.NoStates, c.want) || len(now.Change.Kinds) != 0 {
			t.Errorf("%s: %q, want %q", name, now.Change.NoStates, c.want)
		}
	}
}

// Neither a desired state nor a key that may be personal stands in the file, and only
// its owner reads it (invariant 8).
func TestStatesHoldNoValues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.states.gz")
	rehearse(t, path, "", []Entity{member("org@corp.example", "jane@corp.example", Standing{Outcome: Created}, `{"email_address": "jane@corp.example", "name": "Jane"}`)})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("jane")) || bytes.Contains(raw, []byte("Jane")) || bytes.Contains(raw, []byte("corp.example")) {
		t.Errorf("%q", raw)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("beside it: %v, %v", left, err)
	}
}

// BACKSTITCH_MANY=10000000 measures what docs/rehearse-report.md says.
func TestStatesOfMany(t *testing.T) {
	many := 30_000
	if n := os.Getenv("BACKSTITCH_MANY"); n != "" {
		if _, err := fmt.Sscan(n, &many); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "many")
	s, err := CreateStates(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Discard()
	tally := NewTally(&Report{}, s)
	for i := range many {
		if err := tally.Add(member(fmt.Sprint(i%5000), fmt.Sprint(i), Standing{Outcome: Created}, `{"email_address": "a@corp.example", "roles": ["member"]}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d entities: %d bytes, %d MB from the system", many, info.Size(), m.Sys>>20)
	f, err := openStates(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	n, last := 0, uint64(0)
	for ; f.more; n++ {
		if f.next.id < last {
			t.Fatal("the ids are in no order")
		}
		last = f.next.id
		if err := f.advance(); err != nil {
			t.Fatal(err)
		}
	}
	if n != many {
		t.Errorf("%d entities were read of %d", n, many)
	}
}
