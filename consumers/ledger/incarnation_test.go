package ledger_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/jackc/pgx/v5/pgxpool"
)

func exec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func text(t *testing.T, pool *pgxpool.Pool, sql string) (s string) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), sql).Scan(&s); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return s
}

func incarnate(t *testing.T, pool *pgxpool.Pool) ledger.Incarnation {
	t.Helper()
	i, err := ledger.BeginIncarnation(t.Context(), pool, "p", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// Every incarnation has an epoch above all that was filled, the rows of a load that
// ended before its first checkpoint among them.
func TestIncarnationsHaveEpochsOfTheirOwn(t *testing.T) {
	t.Parallel()
	pool := open(t)
	if i := incarnate(t, pool); i != (ledger.Incarnation{Number: 1, Epoch: 1}) {
		t.Errorf("the first one is %+v", i)
	}
	if i := incarnate(t, pool); i != (ledger.Incarnation{Number: 2, Epoch: 1}) { // nothing was filled
		t.Errorf("the second one is %+v", i)
	}
	exec(t, pool, "INSERT INTO backstitch.offsets VALUES ('p', 'p.public.users', 0, 1, 'id')")
	if i := incarnate(t, pool); i != (ledger.Incarnation{Number: 3, Epoch: 2}) {
		t.Errorf("after rows were filled, and no checkpoint was reached: %+v", i)
	}
	exec(t, pool, "UPDATE backstitch.transform SET epoch = 7")
	if i := incarnate(t, pool); i != (ledger.Incarnation{Number: 4, Epoch: 8}) {
		t.Errorf("after epoch 7: %+v", i)
	}
}

// A former process is fenced, wake-ups are announced again, questions that the comparison
// answers are closed, and no position is believed that the source does not have.
func TestIncarnationLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	pool := open(t)
	former := incarnate(t, pool)
	exec(t, pool, `UPDATE backstitch.transform SET evaluated_commit_lsn = 5000, evaluated_end_lsn = 900;
		INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, announced, status)
		VALUES ('member', 'o', '1', 0, 'live', 5, 5, 'pending'), ('member', 'o', '2', 0, 'live', 5, 5, 'current'), ('member', 'o', '3', 0, 'live', 5, 5, 'parked')`)
	exec(t, pool, `WITH c AS (INSERT INTO backstitch.consents (kind, subject, question) VALUES ('truncate', 'public.users at 0/1', '?') RETURNING id)
		INSERT INTO backstitch.controls (prefix, version, kind, schema_name, table_name, columns, happened_at, consent_id)
		SELECT 'p', '1/0/1/0', 'truncate', 'public', 'users', '{}', now(), id FROM c`)
	exec(t, pool, "INSERT INTO backstitch.consents (kind, question) VALUES ('unearned', 'still asked')")
	term := text(t, pool, "SELECT term::text FROM backstitch.transform")
	if err := ledger.SameIncarnation(t.Context(), pool, "p", former.Number); err != nil {
		t.Fatal(err)
	}

	incarnate(t, pool)

	err := ledger.SameIncarnation(t.Context(), pool, "p", former.Number)
	if held, ok := stage.AsHeld(err); !ok || !strings.Contains(held.Reason, "another process began") {
		t.Errorf("a former process may go on: %v", err)
	}
	if text(t, pool, "SELECT term::text FROM backstitch.transform") == term {
		t.Error("a former owner of the transform may go on")
	}
	for sql, want := range map[string]string{
		"SELECT string_agg(key, ',' ORDER BY key) FROM backstitch.entities WHERE announced < revision": "1",
		"SELECT count(*)::text FROM backstitch.controls":                                               "0",
		"SELECT string_agg(kind, ',') FROM backstitch.consents WHERE done_at IS NULL":                  "unearned",
		"SELECT evaluated_commit_lsn || ',' || evaluated_end_lsn FROM backstitch.transform":            "1000,900",
	} {
		if got := text(t, pool, sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
}

// One process has the place, and others are told which. It is free when that process
// leaves, and when its session ends.
func TestSole(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	pool, err := ledger.Open(t.Context(), dsn, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	lost := make(chan error, 1)
	take := func(name string) (*ledger.Sole, error) {
		return ledger.TakeSole(t.Context(), dsn, name, func(err error) { lost <- err })
	}
	first, err := take("the first on host-1, process 1")
	if err != nil {
		t.Fatal(err)
	}
	var taken *ledger.NotSoleError
	if _, err := take("the second"); !errors.As(err, &taken) || !strings.Contains(taken.Holder, "the first on host-1, process 1, since 20") {
		t.Fatalf("a second one: %v", err)
	}
	first.Leave()
	second, err := take("the second")
	if err != nil {
		t.Fatalf("after the first one left: %v", err)
	}
	defer second.Leave()
	exec(t, pool, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'the second'")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case err := <-lost:
		if !errors.Is(err, ledger.ErrSoleLost) {
			t.Errorf("lost by %v", err)
		}
	case <-ctx.Done():
		t.Error("nobody was told that the place is lost")
	}
	third, err := take("the third")
	if err != nil {
		t.Fatalf("after the second one lost it: %v", err)
	}
	third.Leave()
}
