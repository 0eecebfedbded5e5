package ledger_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5/pgxpool"
)

func open(t *testing.T) *pgxpool.Pool {
	t.Helper()
	dsn := testenv.Postgres(t)
	if err := ledger.Migrate(context.Background(), dsn); err != nil {
		t.Fatal(err)
	}
	pool, err := ledger.Open(context.Background(), dsn, "backstitch-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func TestMigrateByManyAtOnce(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { errs[i] = ledger.Migrate(context.Background(), dsn) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestSessionsCommitSynchronouslyWithPinnedFormats(t *testing.T) { // hazards C12, C19
	t.Parallel()
	pool := open(t)
	for setting, want := range map[string]string{"synchronous_commit": "on", "TimeZone": "UTC", "DateStyle": "ISO, MDY", "extra_float_digits": "3"} {
		var got string
		if err := pool.QueryRow(context.Background(), "SELECT current_setting($1)", setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q (%v), want %q", setting, got, err, want)
		}
	}
}

func TestIdentityRefusesAnotherWorld(t *testing.T) { // hazards C22, C23
	t.Parallel()
	pool := open(t)
	ctx := context.Background()
	first := ledger.Identity{Name: "acme", Prefix: "acme", Database: "legacy", Digest: "d1", ApplyPartitions: 12}
	if err := ledger.CheckIdentity(ctx, pool, first); err != nil {
		t.Fatal(err)
	}
	known := first
	known.SystemID, known.ClusterID, known.ProjectID, known.TopicIDs = "7001", "kafka-a", "project-test-1", map[string]string{"acme.public.t": "id-1"}
	for range 2 { // learns what it did not know, then agrees
		if err := ledger.CheckIdentity(ctx, pool, known); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		edit     func(*ledger.Identity)
		was, now string
	}{
		"name":       {func(i *ledger.Identity) { i.Name = "other" }, "acme", "other"},
		"source":     {func(i *ledger.Identity) { i.SystemID = "7002" }, "7001", "7002"},
		"database":   {func(i *ledger.Identity) { i.Database = "copy" }, "legacy", "copy"},
		"cluster":    {func(i *ledger.Identity) { i.ClusterID = "kafka-b" }, "kafka-a", "kafka-b"},
		"project":    {func(i *ledger.Identity) { i.ProjectID = "project-live-1" }, "project-test-1", "project-live-1"},
		"topic":      {func(i *ledger.Identity) { i.TopicIDs = map[string]string{"acme.public.t": "id-2"} }, "id-1", "id-2"},
		"partitions": {func(i *ledger.Identity) { i.ApplyPartitions = 24 }, "12", "24"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			id := known
			test.edit(&id)
			held, ok := stage.AsHeld(ledger.CheckIdentity(ctx, pool, id))
			if !ok || !strings.Contains(held.Reason, test.was) || !strings.Contains(held.Reason, test.now) || held.Fix == "" {
				t.Errorf("got %v, want a hold that names %q and %q and the choices", held, test.was, test.now)
			}
		})
	}
	known.Digest = "d2"
	var digest *ledger.DigestError
	if err := ledger.CheckIdentity(ctx, pool, known); !errors.As(err, &digest) || digest.Accepted != "d1" || digest.Offered != "d2" {
		t.Fatalf("got %v, want a digest error", err)
	}
	if err := ledger.Accept(ctx, pool, "d2"); err != nil {
		t.Fatal(err)
	}
	if err := ledger.CheckIdentity(ctx, pool, known); err != nil {
		t.Fatal(err)
	}
}

func TestConsentsAreAskedOnce(t *testing.T) { // invariant 7
	t.Parallel()
	pool := open(t)
	ctx := context.Background()
	ids := make([]int64, 5)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			c, err := ledger.Ask(ctx, pool, ledger.ConsentTruncate, "public.t", "truncated?")
			if err != nil {
				t.Error(err)
			}
			ids[i] = c.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("one question became several: %v", ids)
		}
	}
	c, err := ledger.Approve(ctx, pool, ids[0], "operator")
	if err != nil || !c.Approved() || c.ApprovedBy != "operator" {
		t.Fatalf("approve: %+v, %v", c, err)
	}
	if again, err := ledger.Ask(ctx, pool, ledger.ConsentTruncate, "public.t", "truncated?"); err != nil || again.ID != c.ID {
		t.Fatalf("an approved question that is not done was asked again: %+v, %v", again, err)
	}
	if err := ledger.Done(ctx, pool, c.ID); err != nil {
		t.Fatal(err)
	}
	if next, err := ledger.Ask(ctx, pool, ledger.ConsentTruncate, "public.t", "truncated again?"); err != nil || next.ID == c.ID {
		t.Fatalf("a new question got the old answer: %+v, %v", next, err)
	}
	if list, err := ledger.List(ctx, pool, false); err != nil || len(list) != 1 {
		t.Fatalf("list: %v, %v", list, err)
	}
	if _, err := ledger.Approve(ctx, pool, 4711, "operator"); err == nil {
		t.Fatal("approved a question that nobody asked")
	}
}

func TestCaughtUp(t *testing.T) { // hazards A19, A23
	t.Parallel()
	pool := open(t)
	ctx := context.Background()
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	check := func(lsn uint64, want ledger.Progress, done bool) {
		t.Helper()
		got, err := ledger.CaughtUp(ctx, pool, schemas.LSN(lsn))
		if err != nil || got != want || got.Done() != done {
			t.Fatalf("at %d: %+v done=%v (%v), want %+v done=%v", lsn, got, got.Done(), err, want, done)
		}
	}
	check(100, ledger.Progress{}, false) // nothing was ever evaluated
	exec("INSERT INTO backstitch.leases (partition, owner, term) VALUES (0, 'i', 1)")
	exec("INSERT INTO backstitch.transform (prefix, evaluated_commit_lsn, evaluated_end_lsn) VALUES ('p', 90, 99)")
	check(100, ledger.Progress{}, false)
	exec("UPDATE backstitch.transform SET evaluated_end_lsn = 100")
	check(100, ledger.Progress{Evaluated: true}, true)
	for i, status := range []consumers.Status{
		consumers.Current, consumers.Pending, consumers.Deferred, consumers.Parked,
		consumers.AwaitingConsent, consumers.Blocked, consumers.Released,
	} {
		exec(`INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, status, commit_lsn) VALUES
			('member', 'o', $1::text, 0, 'live', 1, $2, 100), ('member', 'o', $1::text || 'later', 0, 'live', 1, $2, 101)`, string(rune('a'+i)), status)
	}
	check(100, ledger.Progress{Evaluated: true, Waiting: 2, Parked: 1, Awaiting: 1, Blocked: 1, Released: 1}, false)
	exec("UPDATE backstitch.entities SET status = 'current' WHERE status IN ('pending', 'deferred') AND commit_lsn = 100")
	check(100, ledger.Progress{Evaluated: true, Parked: 1, Awaiting: 1, Blocked: 1, Released: 1}, true)
	// set aside, but its turn has come again: a run must not end before it (hazard A4)
	due := func(at string) {
		exec("UPDATE backstitch.entities SET due_at = now() + $1::interval WHERE status IN ('parked', 'awaiting_consent', 'blocked')", at)
	}
	due("-1 ms")
	check(100, ledger.Progress{Evaluated: true, Waiting: 3, Parked: 1, Awaiting: 1, Blocked: 1, Released: 1}, false)
	exec("UPDATE backstitch.entities SET reason = 'duplicate_key' WHERE status = 'parked'") // has no turn before another evaluation
	check(100, ledger.Progress{Evaluated: true, Waiting: 2, Parked: 1, Awaiting: 1, Blocked: 1, Released: 1}, false)
	exec("UPDATE backstitch.entities SET reason = NULL WHERE status = 'parked'")
	due("1 hour")
	check(100, ledger.Progress{Evaluated: true, Parked: 1, Awaiting: 1, Blocked: 1, Released: 1}, true)
	// what a whole evaluation found was there before, wherever the evaluation stood
	exec("INSERT INTO backstitch.passes (cause, digest, epoch, commit_lsn) VALUES ('audit', 'd', 1, 101)")
	check(100, ledger.Progress{Evaluated: true, Parked: 1, Awaiting: 1, Blocked: 1, Released: 1}, true)
	exec("INSERT INTO backstitch.passes (cause, digest, epoch, commit_lsn) VALUES ('load', 'd', 1, 101)")
	check(100, ledger.Progress{Evaluated: true, Waiting: 2, Parked: 2, Awaiting: 2, Blocked: 2, Released: 2}, false)

	s, err := ledger.Summarize(ctx, pool)
	if err != nil || s.Total(consumers.Parked) != 2 || s.Unannounced != 14 {
		t.Fatalf("summary %+v, %v", s, err)
	}
}

func TestRetryParked(t *testing.T) { // invariant 6
	t.Parallel()
	pool := open(t)
	ctx := context.Background()
	_, err := pool.Exec(ctx, `INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, status, reason) VALUES
		('member', 'o', 'a', 0, 'live', 1, 'parked', 'invalid_email'), ('member', 'o', 'b', 0, 'live', 1, 'parked', 'duplicate_key'),
		('member', 'o', 'c', 0, 'live', 1, 'blocked', 'organization_blocked')`)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := ledger.Parked(ctx, pool, ledger.Filter{Blocked: true}); err != nil || len(list) != 3 {
		t.Fatalf("parked: %v, %v", list, err)
	}
	if list, err := ledger.Parked(ctx, pool, ledger.Filter{Reason: consumers.ReasonInvalidEmail}); err != nil || len(list) != 1 || list[0].Key.Entity != "a" {
		t.Fatalf("parked by reason: %v, %v", list, err)
	}
	if n, err := ledger.RetryParked(ctx, pool, ledger.Filter{}); err != nil || n != 1 {
		t.Fatalf("retried %d (%v), want the one that a retry can help", n, err)
	}
}
