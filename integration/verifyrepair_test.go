package integration_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers/verify"
	"github.com/backstitch/backstitch/integration/harness"
)

// What verify finds is repaired by the ordinary applier: what is gone is made again,
// what is different is written again, a lost delete waits for consent, and what
// somebody else changed is never overwritten (invariants 7 and 12). Then an instance
// verifies by itself, and says so in its metrics.
func TestVerifyRepairs(t *testing.T) {
	w := faultyWorld(t)
	f := newWrongWorld(t, w)
	for _, s := range seeded {
		switch s.name {
		case "lost event: an update", "lost event: a creation", "swapped events: an older update came last", "extra role", "lost delete",
			"wrong password: removed", "lost release: a slug that was given up", "lost organization":
			s.seed(f)
		}
	}
	run := w.Run(t)
	w.CaughtUp(t, time.Minute)
	r := verified(t, w, 3, "--repair")
	if r.Repair == nil || r.Repair.Deletes != 1 || r.Repair.Left != 0 || r.Repair.Reads != int64(len(r.Findings))-1 {
		t.Fatalf("repair: %+v of %d findings", r.Repair, len(r.Findings))
	}
	var consent int64
	harness.Eventually(t, 2*time.Minute, "the lost delete asks for consent", func() bool {
		return w.LedgerPool.QueryRow(context.Background(), `SELECT consent_id FROM backstitch.entities WHERE status = 'awaiting_consent'`).Scan(&consent) == nil
	})
	w.Output(t, "approve", strconv.FormatInt(consent, 10))
	harness.Eventually(t, 2*time.Minute, "nothing is due or waits", func() bool { return waiting(t, w) == 0 })
	if r := verified(t, w, 0); r.Verdict != verify.Clean {
		t.Errorf("after the repair: %+v", r)
	}
	harness.NothingAside(t, w.Clean(t))

	foreign := f.update(f.member(), map[string]any{"email_address": "theirs@corp.example"})
	if r := verified(t, w, 3, "--repair"); r.Repair == nil || r.Classes[verify.ForeignChange] != 1 {
		t.Fatalf("a foreign address: %+v", r)
	}
	harness.Eventually(t, 2*time.Minute, "the foreign address is parked", func() bool {
		return strings.Contains(w.Output(t, "parked", "list", "--reason", "foreign_change"), foreign.key)
	})
	m, err := f.client.GetMember(context.Background(), foreign.orgID, foreign.id)
	if err != nil || m.EmailAddress != "theirs@corp.example" { // invariant 12
		t.Errorf("the foreign address was overwritten: %v", err)
	}
	if code := run.Stop(t); code != 0 {
		t.Errorf("the run ends with %d", code)
	}

	often := w.Variant(t, "often", func(o *harness.Options) { o.More += "\nverify: {every: 1s, share: 100}" })
	p := w.Start(t, "run", "-c", often)
	harness.Eventually(t, 2*time.Minute, "the drift is a metric", func() bool {
		page := p.Get(t, "/metrics")
		return strings.Contains(page, `backstitch_verify_entities{class="foreign_change"} 1`) && !strings.Contains(page, "backstitch_verify_finished_timestamp_seconds 0\n")
	})
	if code := p.Stop(t); code != 0 {
		t.Errorf("the run that verifies ends with %d", code)
	}
}

// waiting counts entities that have a turn to come.
func waiting(t *testing.T, w *harness.World) (n int) {
	t.Helper()
	err := w.LedgerPool.QueryRow(context.Background(), `SELECT count(*) FROM backstitch.entities
		WHERE due_at IS NOT NULL OR read_wanted OR status NOT IN ('current', 'parked')`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
