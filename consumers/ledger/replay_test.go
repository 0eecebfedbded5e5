package ledger_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/jackc/pgx/v5/pgxpool"
)

func target(t *testing.T, pool *pgxpool.Pool, connector string) ledger.ConnectorTarget {
	t.Helper()
	targets, err := ledger.Targets(context.Background(), pool)
	if err != nil {
		t.Fatal(err)
	}
	return targets[connector]
}

func begin(t *testing.T, pool *pgxpool.Pool) *ledger.Replaying {
	t.Helper()
	r, err := ledger.BeginReplay(context.Background(), pool, "c-apply", "replay apply --to-earliest", "somebody")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReplayRemembersTheFormerTarget(t *testing.T) {
	t.Parallel()
	pool := open(t)
	ctx := context.Background()
	if former, died, err := ledger.Former(ctx, pool, "c-apply"); err != nil || former != ledger.TargetRunning || died {
		t.Errorf("the former target is %s, died %v, %v", former, died, err)
	}
	r := begin(t, pool)
	if got := target(t, pool, "c-apply"); got.State != ledger.TargetStopped || !strings.Contains(got.Reason, "replay apply --to-earliest") || !strings.Contains(got.Reason, "was RUNNING") {
		t.Errorf("during the replay the target is %+v", got)
	}
	if _, err := ledger.BeginReplay(ctx, pool, "c-apply", "another", "somebody"); !errors.Is(err, ledger.ErrReplaying) {
		t.Errorf("a second replay beside it: %v", err)
	}
	if state, err := r.End(ctx, nil); err != nil || state != ledger.TargetRunning {
		t.Errorf("ended with %s, %v", state, err)
	}
	if err := ledger.SetTarget(ctx, pool, "c-apply", ledger.TargetPaused, "a person"); err != nil {
		t.Fatal(err)
	}
	if state, err := begin(t, pool).End(ctx, errors.New("it broke")); err != nil || state != ledger.TargetPaused || target(t, pool, "c-apply").Reason != "a person" {
		t.Errorf("a paused connector came back as %s, %v", state, err)
	}
}

// A replay that died leaves the connector stopped and says so; the next one gives it
// the target that it had before the first.
func TestReplayThatDied(t *testing.T) {
	t.Parallel()
	pool := open(t)
	ctx := context.Background()
	begin(t, pool).Die()
	if got := target(t, pool, "c-apply"); got.State != ledger.TargetStopped || !strings.HasPrefix(got.Reason, "replay 1: ") {
		t.Fatalf("after its death the target is %+v", got)
	}
	if former, died, err := ledger.Former(ctx, pool, "c-apply"); err != nil || former != ledger.TargetRunning || !died {
		t.Errorf("the former target is %s, died %v, %v", former, died, err)
	}
	second := begin(t, pool)
	if state, err := second.End(ctx, nil); err != nil || state != ledger.TargetRunning {
		t.Errorf("the second one ended with %s, %v", state, err)
	}
	var died int
	if err := pool.QueryRow(ctx, "SELECT count(*) FROM backstitch.replays WHERE outcome = 'died'").Scan(&died); err != nil || died != 1 {
		t.Errorf("%d died, %v", died, err)
	}
	// a person resumes, and pauses it: that stands
	begin(t, pool).Die()
	for _, s := range []ledger.Target{ledger.TargetRunning, ledger.TargetPaused} {
		if err := ledger.SetTarget(ctx, pool, "c-apply", s, "a person"); err != nil {
			t.Fatal(err)
		}
	}
	third := begin(t, pool)
	if err := ledger.SetTarget(ctx, pool, "c-apply", ledger.TargetRunning, "a person"); err != nil {
		t.Fatal(err)
	}
	if ours, err := third.Stopped(ctx); err != nil || ours {
		t.Errorf("it does not notice that a person resumed: %v, %v", ours, err)
	}
	if state, err := third.End(ctx, nil); err != nil || state != ledger.TargetRunning {
		t.Errorf("what a person set meanwhile became %s, %v", state, err)
	}
}

// A replay whose session is gone gives the target back all the same: Ctrl-C may come
// in the middle of a question.
func TestReplayThatLostItsSession(t *testing.T) {
	t.Parallel()
	pool := open(t)
	ctx := context.Background()
	r := begin(t, pool)
	var ended int
	err := pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&ended)
	if err != nil || ended != 1 {
		t.Fatalf("%d sessions ended, %v", ended, err)
	}
	if ours, err := r.Stopped(ctx); err != nil || !ours {
		t.Errorf("it is stopped: %v, %v", ours, err)
	}
	if state, err := r.End(ctx, errors.New("interrupted")); err != nil || state != ledger.TargetRunning {
		t.Errorf("ended with %s, %v", state, err)
	}
}

func TestSelection(t *testing.T) {
	t.Parallel()
	pool := open(t)
	ctx := context.Background()
	_, err := pool.Exec(ctx, `INSERT INTO backstitch.entities (kind, org_key, key, partition, lane, revision, status, desired, stytch_id) VALUES
		('member', 'o', 'current', 0, 'live', 1, 'current', '{}', 'm'), ('member', 'o', 'pending', 0, 'live', 1, 'pending', '{}', NULL),
		('member', 'o', 'parked', 0, 'live', 1, 'parked', '{}', NULL), ('member', 'o', 'gone', 0, 'live', 1, 'current', NULL, NULL),
		('member', 'o', 'dropped', 0, 'live', 1, 'dropped', '{}', 'm'), ('member', 'o', 'other', 0, 'live', 1, 'current', '{}', 'm')`)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ledger.NewSelection(ctx, pool)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var keys []consumers.Key
	for _, k := range []string{"current", "current", "pending", "parked", "gone", "dropped", "unknown"} {
		keys = append(keys, consumers.Key{Kind: consumers.Member, Organization: "o", Entity: k})
	}
	for range 2 {
		if err := s.Add(ctx, keys); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Count(ctx)
	if want := (ledger.Selected{Entities: 5, Unknown: 1, Differ: 1, Waiting: 2, Readable: 3}); err != nil || got != want {
		t.Fatalf("counted %+v, %v, want %+v", got, err, want)
	}
	if d, err := s.Differing(ctx, 10); err != nil || len(d) != 1 || d[0].Entity != "pending" {
		t.Errorf("differing: %v, %v", d, err)
	}
	if n, err := s.WantReads(ctx, true); err != nil || n != 3 {
		t.Errorf("%d reads, %v", n, err)
	}
	if n, err := s.MakeDue(ctx); err != nil || n != 3 {
		t.Errorf("%d due, %v", n, err)
	}
	var other bool
	if err := pool.QueryRow(ctx, "SELECT read_wanted OR due_at IS NOT NULL FROM backstitch.entities WHERE key = 'other'").Scan(&other); err != nil || other {
		t.Errorf("one that was not chosen is touched: %v, %v", other, err)
	}
}
