package schemas

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawVersion(t *rapid.T, label string) Version {
	return Version{
		Epoch:  rapid.Uint32Range(0, 2).Draw(t, label+" epoch"),
		Commit: LSN(rapid.OneOf(rapid.Uint64Range(0, 2), rapid.Uint64()).Draw(t, label+" commit")),
		Change: LSN(rapid.OneOf(rapid.Uint64Range(0, 2), rapid.Uint64()).Draw(t, label+" change")),
		N:      rapid.Uint32().Draw(t, label+" n"),
	}
}

// The header's text order is the version order, so that any reader can compare.
func TestVersionTextOrderIsVersionOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawVersion(t, "a"), drawVersion(t, "b")
		if got, want := strings.Compare(a.String(), b.String()), a.Compare(b); got != want {
			t.Fatalf("%s and %s compare as text %d, as versions %d", a, b, got, want)
		}
		back, err := ParseVersion(a.String())
		if err != nil || back != a {
			t.Fatalf("%s came back as %s (%v)", a, back, err)
		}
	})
}

func TestVersionCompare(t *testing.T) {
	t.Parallel()
	inOrder := []Version{
		{},
		{Epoch: 1},
		{Epoch: 1, Commit: 100},             // a row read at point 100
		{Epoch: 1, Commit: 100, Change: 90}, // the commit at 100 is not in that row
		{Epoch: 1, Commit: 100, Change: 90, N: 1},     // COPY: several rows with one LSN
		{Epoch: 1, Commit: 100, Change: 95},           //
		EndOf(1, 100),                                 // hazard S2: resume skips the whole commit
		{Epoch: 1, Commit: 101},                       //
		{Epoch: 1, Commit: math.MaxUint64, N: 1},      //
		{Epoch: 2, Commit: 1, Change: 1},              // hazard S10: a higher epoch beats any LSN
		{Epoch: math.MaxUint32, Commit: 0, Change: 0}, //
	}
	for i, a := range inOrder {
		for j, b := range inOrder {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%s against %s: %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestVersionInJSON(t *testing.T) {
	t.Parallel()
	in := Position{Version: EndOf(3, 0x16B374D848), EndLSN: 0x16B374D880, EndsTransaction: true}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), `"00000003-00000016b374d848-ffffffffffffffff-ffffffff"`) {
		t.Errorf("a version does not stand in JSON as its text: %s", b)
	}
	var out Position
	if err := json.Unmarshal(b, &out); err != nil || out != in {
		t.Errorf("%+v came back as %+v (%v)", in, out, err)
	}
}

func TestParseVersionRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "1-2-3", "1-2-3-4-5", "x-2-3-4", "100000000-0-0-0", "0-0-0-100000000", "0-0--0"} {
		if v, err := ParseVersion(bad); err == nil {
			t.Errorf("%q was read as %s", bad, v)
		}
	}
}

func TestVersionAppendDoesNotAllocate(t *testing.T) {
	v, buf := EndOf(1, 2), make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { buf = v.Append(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLSN(t *testing.T) {
	t.Parallel()
	for text, lsn := range map[string]LSN{
		"0/0": 0, "16/B374D848": 0x16B374D848, "FFFFFFFF/FFFFFFFF": math.MaxUint64, "1/0": 1 << 32, "0/15230F8": 0x15230F8,
	} {
		got, err := ParseLSN(text)
		if err != nil || got != lsn {
			t.Errorf("%s read as %d (%v)", text, got, err)
		}
		if lsn.String() != text {
			t.Errorf("%d printed as %s, want %s", uint64(lsn), lsn, text)
		}
	}
	for _, bad := range []string{"", "0", "0/", "/0", "g/0", "0/g", "100000000/0", "0/100000000", "0/0/0", "-1/0"} {
		if got, err := ParseLSN(bad); err == nil {
			t.Errorf("%q was read as %s", bad, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		lsn := LSN(rapid.Uint64().Draw(t, "lsn"))
		if back, err := ParseLSN(lsn.String()); err != nil || back != lsn {
			t.Fatalf("%s came back as %s (%v)", lsn, back, err)
		}
	})
}
