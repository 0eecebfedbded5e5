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
		{Key: consumers.Key{Kind: consumers.Member, Organization: "1", Entity: "18"}, Class: string(Pending), Why: "not applied past its last change"},
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
