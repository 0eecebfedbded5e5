package ledger_test

import (
	"context"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

func TestParkedIsChosenRetriedAndDropped(t *testing.T) { // invariant 6
	t.Parallel()
	pool := open(t)
	ctx := context.Background()
	_, err := pool.Exec(ctx, `INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, status, reason, detail) VALUES
		('organization', 'o', 'o', 0, 'live', 1, 'parked', 'invalid_slug', ''),
		('member', 'o', 'a', 0, 'live', 1, 'parked', 'invalid_email', 'invalid_email'),
		('member', 'o', 'b', 0, 'live', 1, 'parked', 'duplicate_key', ''),
		('member', 'p', 'a', 0, 'live', 1, 'parked', 'invalid_email', ''),
		('member', 'p', 'busy', 0, 'live', 1, 'parked', 'refused', ''),
		('member', 'p', 'well', 0, 'live', 1, 'current', NULL, NULL);
		INSERT INTO backstitch.marks (kind, org_key, key, partition, term, revision, step, deadline, settle_until)
		VALUES ('member', 'p', 'busy', 0, 1, 1, 'update_member', now(), now())`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		f    ledger.Filter
		want int
	}{
		{"all", ledger.Filter{}, 5},
		{"a kind", ledger.Filter{Kind: consumers.Member}, 4},
		{"an organization", ledger.Filter{Organization: "o"}, 3},
		{"a key in every organization", ledger.Filter{Keys: []string{"a"}}, 2},
		{"a key in one", ledger.Filter{Keys: []string{"a"}, Organization: "p"}, 1},
		{"a reason", ledger.Filter{Reason: consumers.ReasonInvalidEmail}, 2},
		{"what is not parked", ledger.Filter{Keys: []string{"well"}}, 0},
	} {
		list, err := ledger.Parked(ctx, pool, c.f)
		if err != nil || len(list) != c.want {
			t.Errorf("%s: %d, %v, want %d", c.name, len(list), err, c.want)
		}
		for _, e := range list {
			if e.Fix == "" {
				t.Errorf("%s: no fix for %s", c.name, e.Reason)
			}
		}
	}
	retry := func(f ledger.Filter, want int64) {
		t.Helper()
		if n, err := ledger.RetryParked(ctx, pool, f); err != nil || n != want {
			t.Errorf("retried %d, %v, want %d", n, err, want)
		}
	}
	retry(ledger.Filter{Organization: "o"}, 2) // not what evaluation parked
	if n, err := ledger.Drop(ctx, pool, ledger.Filter{Keys: []string{"a", "busy", "well"}}, "somebody"); err != nil || n != 2 {
		t.Fatalf("dropped %d, %v, want the two that no call is in flight of", n, err)
	}
	list, err := ledger.Parked(ctx, pool, ledger.Filter{Dropped: true, Keys: []string{"a"}})
	if err != nil || len(list) != 2 || list[0].Status != consumers.Dropped || list[0].DroppedBy != "somebody" || list[0].DroppedAt == nil {
		t.Errorf("dropped: %+v, %v", list, err)
	}
	var due int
	if err := pool.QueryRow(ctx, "SELECT count(*) FROM backstitch.entities WHERE status = 'dropped' AND due_at IS NOT NULL").Scan(&due); err != nil || due != 0 {
		t.Errorf("%d dropped ones are due, %v", due, err)
	}
	retry(ledger.Filter{Reason: consumers.ReasonInvalidEmail}, 0) // what was given up stays so
	retry(ledger.Filter{Keys: []string{"a"}, Organization: "o"}, 1)
	shown, err := ledger.Show(ctx, pool, "a", "", 0)
	if err != nil || len(shown) != 2 || shown[0].Status != consumers.Parked || shown[1].Status != consumers.Dropped || shown[0].Fix == "" || shown[0].Means == "" {
		t.Errorf("shown: %+v, %v", shown, err)
	}
}
