package ledger_test

import (
	"context"
	"math"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

// The rate is over what the whole cluster has applied of late, and the time to go is
// what waits at that rate.
func TestSummarySaysUntilWhen(t *testing.T) {
	t.Parallel()
	pool := open(t)
	ctx := context.Background()
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	look := func(rate, eta float64) {
		t.Helper()
		s, err := ledger.Summarize(ctx, pool)
		if err != nil {
			t.Fatal(err)
		}
		// the clock goes on between the rows' time and the look
		if near := func(got, want float64) bool { return math.Abs(got-want) <= 0.2*want }; !near(s.AppliedPerSecond, rate) || !near(s.ETASeconds(), eta) {
			t.Errorf("%.2f/s, %.1f s to go; want %.2f/s and %.1f s", s.AppliedPerSecond, s.ETASeconds(), rate, eta)
		}
	}
	exec(`INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, status, reason)
		SELECT 'member', 'o', 'w' || n, 0, 'backfill', 1, CASE WHEN n <= 400 THEN 'pending' ELSE 'deferred' END, NULL FROM generate_series(1, 600) n`)
	look(0, 0) // nothing was applied yet: nobody knows
	exec(`INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, status, applied_at)
		SELECT 'member', 'o', 'a' || n, 0, 'backfill', 1, 'current', now() FROM generate_series(1, 100) n`)
	look(20, 30) // over 5 s at least: the first of them came just now
	exec(`UPDATE backstitch.entities SET applied_at = now() - interval '20 s' WHERE key = 'a1'`)
	look(5, 120)
	exec(`UPDATE backstitch.entities SET applied_at = now() - interval '2 minutes' WHERE status = 'current'`)
	look(0, 0) // apply has stopped
	exec("UPDATE backstitch.entities SET applied_at = now(), status = 'current'")
	look(140, 0) // nothing waits
}

// What has a call in flight is counted with its status, and beside it.
func TestSummaryCountsCalls(t *testing.T) {
	t.Parallel()
	pool := open(t)
	ctx := context.Background()
	for _, sql := range []string{
		`INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, status)
			SELECT 'member', 'o', n::text, 0, 'live', 1, 'pending' FROM generate_series(1, 5) n`,
		`INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, status) VALUES ('organization', 'o', 'o', 0, 'live', 1, 'current')`,
		`INSERT INTO backstitch.marks (kind, org_key, key, partition, term, revision, step, deadline, settle_until)
			SELECT kind, org_key, key, partition, 1, 1, 'update', now(), now() FROM backstitch.entities WHERE key IN ('1', '2', 'o')`,
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	s, err := ledger.Summarize(ctx, pool)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[consumers.Kind]int64{}
	for _, c := range s.Calls {
		calls[c.Kind] += c.Count
	}
	if s.InFlight != 3 || s.Waiting() != 5 || calls[consumers.Member] != 2 || calls[consumers.Organization] != 1 {
		t.Errorf("%d in flight, %v, %d wait", s.InFlight, calls, s.Waiting())
	}
}
