package schemas

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseTable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Table{
		"teams":                      {"public", "teams"},
		"public.teams":               {"public", "teams"},
		" Public.Teams ":             {"public", "teams"},
		`"Team"`:                     {"public", "Team"},
		`public."Team"`:              {"public", "Team"},
		`"My Schema"."a.b"`:          {"My Schema", "a.b"},
		`"say ""hi"""."x"`:           {`say "hi"`, "x"},
		`app."Ünïcode"`:              {"app", "Ünïcode"},
		`"has ' quote"."semi;colon"`: {"has ' quote", "semi;colon"},
	} {
		got, err := ParseTable(text)
		if err != nil || got != want {
			t.Errorf("%s read as %+v (%v), want %+v", text, got, err, want)
		}
	}
}

func TestParseTableRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "  ", ".", "a.", ".a", `""`, `"a`, `"a""`, "a.b.c", `"a"b`, `a."b"c`, "a b", "a;drop", "a'b", `a"b"`, "f(x)", "a,b", "a\tb"} {
		if got, err := ParseTable(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

// What SQL prints, ParseTable reads.
func TestTableSQLComesBack(t *testing.T) {
	t.Parallel()
	name := rapid.StringMatching(`[A-Za-z". é;']{1,8}`)
	rapid.Check(t, func(t *rapid.T) {
		want := Table{name.Draw(t, "schema"), name.Draw(t, "table")}
		got, err := ParseTable(want.SQL())
		if err != nil || got != want {
			t.Fatalf("%s read as %+v (%v)", want.SQL(), got, err)
		}
	})
}

func TestQuoteIdent(t *testing.T) {
	t.Parallel()
	if got := QuoteIdent(`a"b`); got != `"a""b"` {
		t.Errorf("quoted as %s", got)
	}
	if s := (Table{"public", "Team"}).String(); s != "public.Team" || strings.Contains(s, `"`) {
		t.Errorf("printed as %s", s)
	}
}

func TestCheckpointsComeBack(t *testing.T) {
	t.Parallel()
	in := Checkpoint{
		Source:   Source{SystemID: "7", Timeline: 1, Database: "legacy", Slot: "s", Publication: "p", Epoch: 2},
		Position: Position{Version: EndOf(2, 9), EndLSN: 10, EndsTransaction: true},
		Backfill: Backfill{Run: 1, Tables: map[string]TableProgress{"public.teams": {Ranges: []Range{{To: []string{"5"}}}, Rows: 5}}},
		Topics:   map[string]TopicEnds{"t": {ID: "x", Ends: []int64{0, 3}}},
	}
	b, err := Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := DecodeCheckpoint(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Encode(out)
	if err != nil || string(again) != string(b) {
		t.Errorf("%s came back as %s (%v)", b, again, err)
	}
	if _, err := DecodeCheckpoint([]byte("{")); err == nil {
		t.Error("half a checkpoint was read")
	}
	if _, err := DecodeControl([]byte("[]")); err == nil {
		t.Error("a list was read as a control record")
	}
}
