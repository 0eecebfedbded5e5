package ledger_test

import (
	"context"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/stage"
)

// A consent is to one plan: for this mapping, made against what the ledger follows
// (hazard C23). One that is older than changes tells how many.
func TestAcceptPlan(t *testing.T) {
	t.Parallel()
	pool, ctx := open(t), context.Background()
	follow := func(digest string) {
		t.Helper()
		if _, err := pool.Exec(ctx, "INSERT INTO backstitch.identity (name, prefix, digest) VALUES ('p', 'p', $1) ON CONFLICT (name) DO UPDATE SET digest = $1", digest); err != nil {
			t.Fatal(err)
		}
	}
	follow("d1")
	for _, p := range []ledger.MappingPlan{
		{ID: "to2", Digest: "d2", Accepted: "d1", Epoch: 1, CommitLSN: 100, Summary: []byte("{}"), PlannedBy: "me"},
		{ID: "to2", Digest: "d2", Accepted: "d1", Epoch: 1, CommitLSN: 100, Summary: []byte("{}"), PlannedBy: "me"},
		{ID: "to3", Digest: "d3", Accepted: "d1", Epoch: 1, CommitLSN: 100, Summary: []byte("{}"), PlannedBy: "me"},
	} {
		if err := ledger.KeepPlan(ctx, pool, p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pool.Exec(ctx, `INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, epoch) VALUES
		('member', '1', '1', 0, 'live', 100, 1), ('member', '1', '2', 0, 'live', 101, 1), ('member', '1', '3', 0, 'live', 7, 2)`); err != nil {
		t.Fatal(err)
	}
	refused := func(id, digest, because string) {
		t.Helper()
		_, _, err := ledger.AcceptPlan(ctx, pool, id, digest, "me")
		if h, held := stage.AsHeld(err); !held || !strings.Contains(h.Reason, because) || !strings.Contains(h.Fix, "backstitch plan") {
			t.Errorf("plan %s for %s: %v, want it refused because of %q", id, digest, err, because)
		}
	}
	refused("to9", "d2", `no plan "to9"`)
	refused("to3", "d2", "is for a mapping and policies with digest d3, this file has d2")
	if err := ledger.SameDigest(ctx, pool, "d1"); err != nil {
		t.Errorf("a refused plan was accepted: %v", err)
	}
	plan, changed, err := ledger.AcceptPlan(ctx, pool, "to2", "d2", "me")
	if err != nil || plan.CommitLSN != 100 || changed != 2 {
		t.Errorf("plan %+v, %d changed, %v", plan, changed, err)
	}
	if err := ledger.SameDigest(ctx, pool, "d2"); err != nil {
		t.Error(err)
	}
	refused("to3", "d3", "since then another one was accepted, d2")
	if _, _, err := ledger.AcceptPlan(ctx, pool, "to2", "d2", "me"); err != nil {
		t.Errorf("the second instance with the same consent: %v", err)
	}
	var by string
	if err := pool.QueryRow(ctx, "SELECT accepted_by FROM backstitch.plans WHERE id = 'to2' AND accepted_at IS NOT NULL").Scan(&by); err != nil || by != "me" {
		t.Errorf("accepted by %q, %v", by, err)
	}
}
