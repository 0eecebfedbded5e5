package verify

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch/hash"
	"github.com/backstitch/backstitch/schemas"
)

var update = flag.Bool("update", false, "write the golden files")

// What people and scripts read of a report: fields are added, never renamed.
func TestReportGolden(t *testing.T) {
	t.Parallel()
	v := &Verifier{cfg: Config{Pipeline: "acme", ProjectID: "project-test-1"}, mapping: "digest"}
	at := time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC)
	run := &ledger.Verification{VerificationRow: ledger.VerificationRow{
		ID: 7, Started: at, LSN: schemas.LSN(0x16B374D848),
		Tally: ledger.Tally{Kinds: map[string]int64{"organization": 2, "member": 9}, Losses: map[string]int64{"phone_unverified": 2}, Foreign: 1},
	}}
	found := []ledger.Finding{
		{Key: consumers.Key{Kind: consumers.Member, Organization: "1", Entity: "17"}, StytchID: "member-test-1", Class: string(Different), Fields: []string{"name", "roles"}, Confirmed: true},
		{Key: consumers.Key{Kind: consumers.Member, Organization: "1"}, StytchID: "member-test-2", Class: string(Extra), Why: foreignObject, Confirmed: true},
		{Key: consumers.Key{Kind: consumers.Member, Organization: "1", Entity: "someone@corp.example"}, Class: string(Pending), Why: "not applied past its last change"},
	}
	r := v.report(run,
		map[string]int64{"match": 7, "named_loss": 2, "different": 1, "extra": 1, "pending": 2},
		map[string]int64{"member.name": 1, "member.roles": 1}, found,
		[]CanaryResult{{Organization: "1", Member: "11", Class: hash.Bcrypt, Outcome: canaryFine}})
	r.Finished, r.Searches, r.Reads = at.Add(time.Minute), 2, 5
	r.Repair = &Repair{Reads: 1, Left: 1}

	var text bytes.Buffer
	if err := r.Print(&text); err != nil {
		t.Fatal(err)
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]byte{"report.txt": text.Bytes(), "report.json": append(raw, '\n')} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(path); err != nil || !bytes.Equal(want, got) {
			t.Errorf("%s is not what is printed (%v): go test ./consumers/verify -run Golden -update\n%s", path, err, got)
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	some := map[string]int64{"member": 1}
	for _, c := range []struct {
		r    Report
		want Verdict
	}{
		{Report{Entities: some, Classes: map[Class]int64{Match: 1, NamedLoss: 1, Released: 1}}, Clean},
		{Report{Entities: some, Classes: map[Class]int64{Match: 1, Pending: 1}}, CouldNotTell},
		{Report{Entities: some, Classes: map[Class]int64{Match: 1, Unverifiable: 1}}, CouldNotTell},
		{Report{Entities: some, Classes: map[Class]int64{Match: 1, Pending: 1, Missing: 1}}, DriftFound},
		{Report{Entities: map[string]int64{}, Classes: map[Class]int64{}}, CouldNotTell},
		{Report{Entities: some, Classes: map[Class]int64{Match: 1}, Canaries: []CanaryResult{{Outcome: canaryUntried}}}, CouldNotTell},
	} {
		if got := c.r.verdict(); got != c.want {
			t.Errorf("%v, canaries %v: %s, want %s", c.r.Classes, c.r.Canaries, got, c.want)
		}
	}
}

// What somebody signs names every number that the verdict rests on.
func TestSummaries(t *testing.T) {
	t.Parallel()
	some := map[string]int64{"member": 1}
	for want, r := range map[string]Report{
		"clean: everything that was compared is in Stytch as it should be":                                                                        {Entities: some, Classes: map[Class]int64{Match: 1}},
		"clean: everything that was compared is in Stytch as it should be; 1,200 lack what Stytch cannot take; 2 were released, and not compared": {Entities: some, Classes: map[Class]int64{Match: 1, NamedLoss: 1200, Released: 2}},
		"drift: 3 missing, 1 foreign change; not known: 2 pending":                                                                                {Entities: some, Classes: map[Class]int64{Missing: 3, ForeignChange: 1, Pending: 2}},
		"could not tell: 4 unverifiable":                                       {Entities: some, Classes: map[Class]int64{Match: 1, Unverifiable: 4}},
		"could not tell: a canary did not authenticate, or could not be tried": {Entities: some, Classes: map[Class]int64{Match: 1}, Canaries: []CanaryResult{{Outcome: canaryUntried}}},
		"could not tell: nothing should be in Stytch, which proves nothing":    {Classes: map[Class]int64{}},
	} {
		r.Verdict = r.verdict()
		if got := r.summary(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Findings that are not listed are counted, whatever the number of those that are.
func TestPrintCountsWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	for listed, want := range map[int]string{1: "and 7 more", printedFindings + 2: "and 9 more"} {
		r := Report{Findings: make([]Finding, listed), LeftOut: 7}
		var text bytes.Buffer
		if err := r.Print(&text); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text.Bytes(), []byte(want+"\n")) {
			t.Errorf("%d listed: want %q in\n%s", listed, want, text.String())
		}
	}
}
