package transform

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
)

func TestAFormerOwnerCannotWrite(t *testing.T) { // invariant 10, hazard C13
	t.Parallel()
	f := docsFeeder(t)
	connect := func() *pgx.Conn {
		conn, err := f.pool.Acquire(f.ctx)
		f.check(err)
		t.Cleanup(conn.Release)
		return conn.Conn()
	}
	first, second := connect(), connect()
	one, err := takeOver(f.ctx, first, &Config{Prefix: f.prefix, Owner: "one"})
	f.check(err)
	tx, err := first.Begin(f.ctx)
	f.check(err)
	f.check(fence(f.ctx, tx, one.term))
	taken := make(chan *state, 1)
	go func() {
		two, err := takeOver(f.ctx, second, &Config{Prefix: f.prefix, Owner: "two"})
		if err != nil {
			t.Error(err)
		}
		taken <- two
	}()
	f.until("the successor waits for the open transaction", func() bool {
		return f.number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == 1
	})
	_, err = tx.Exec(f.ctx, "UPDATE backstitch.transform SET filled_commit_lsn = 7 WHERE prefix = $1", f.prefix)
	f.check(err)
	f.check(tx.Commit(f.ctx))
	if two := <-taken; two.term != one.term+1 {
		t.Fatalf("term %d after %d", two.term, one.term)
	}
	err = pgx.BeginFunc(f.ctx, first, func(tx pgx.Tx) error { return fence(f.ctx, tx, one.term) })
	if !errors.Is(err, errFenced) {
		t.Fatalf("a former owner's transaction: %v, want %v", err, errFenced)
	}
}

func TestASecondInstanceStandsBy(t *testing.T) { // invariant 10, hazard C13
	t.Parallel()
	f := docsFeeder(t)
	f.reading().insert("docs", 1, "a", nil, nil, nil).end()
	f.loaded()
	first := f.start()
	f.evaluated(first)
	second := f.start()
	f.begin().update("docs", 1, "b", nil, nil, nil).end()
	f.evaluated(first)
	if s := second.Status().State; s != Standby {
		t.Fatalf("the second instance is %s", s)
	}
	// the lock's session dies under the owner
	started := time.Now()
	f.number(`SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	f.until("the second instance owns the transform", func() bool { return second.Status().State == Running })
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("taking over took %s", took)
	}
	f.until("the first stands by", func() bool { return first.Status().State == Standby })
	f.begin().update("docs", 1, "c", nil, nil, nil).insert("docs", 2, "d", nil, nil, nil).end()
	f.evaluated(second)
	f.same()
	f.stop(second)
	f.begin().remove("docs", 2).end()
	f.evaluated(first)
	f.same()
}

func TestKilledBetweenFillAndEvaluation(t *testing.T) { // invariants 5 and 10
	t.Parallel()
	f := docsFeeder(t)
	f.reading().insert("docs", 1, "a", nil, nil, nil).insert("docs", 2, "b", nil, nil, nil).end()
	f.loaded()
	ctx, kill := context.WithCancel(f.ctx)
	tr := f.start(func(tr *Transform) { tr.Start(ctx) })
	f.evaluated(tr)
	lock, err := f.pool.Begin(f.ctx)
	f.check(err)
	_, err = lock.Exec(f.ctx, "LOCK TABLE backstitch.entities IN ACCESS EXCLUSIVE MODE")
	f.check(err)
	f.begin().update("docs", 1, "a2", nil, nil, nil).remove("docs", 2).end()
	f.until("the mirror has it", func() bool {
		return f.number("SELECT count(*) FROM backstitch.transform WHERE filled_commit_lsn = $1", int64(f.commit)) == 1
	})
	kill()
	f.check(lock.Rollback(f.ctx))
	<-tr.Done()
	next := f.start()
	f.evaluated(next)
	f.same()
	if f.number("SELECT count(*) FROM backstitch.entities WHERE key = '1' AND desired->>'organization_name' = 'a2'") != 1 ||
		f.number("SELECT count(*) FROM backstitch.entities WHERE key = '2' AND desired IS NULL") != 1 {
		t.Fatal("what was filled and not evaluated is lost")
	}
}

func TestReplayEndsInTheSameState(t *testing.T) { // invariant 5
	t.Parallel()
	f := docsFeeder(t)
	f.cfg.BatchRows = 3
	tr := f.start()
	tx := f.reading()
	for i := range 20 {
		tx.insert("docs", i, i, "big", nil, nil)
	}
	tx.end()
	f.loaded()
	f.evaluated(tr)
	for i := range 20 {
		switch i % 4 {
		case 0:
			f.begin().update("docs", i, "changed", toasted{}, nil, nil).end()
			f.sql("ALTER TABLE docs DROP CONSTRAINT IF EXISTS docs_name_key")
		case 1:
			f.begin().remove("docs", i).end()
		case 2:
			f.begin().move("docs", i, 100+i, i, toasted{}, nil, nil).end()
		}
	}
	f.evaluated(tr)
	f.same()
	revisions := f.number("SELECT sum(revision) FROM backstitch.entities")
	// forget how far the mirror is: everything is read again into it
	f.stop(tr)
	_, err := f.pool.Exec(f.ctx, "DELETE FROM backstitch.offsets")
	f.check(err)
	tr = f.start()
	f.begin().end()
	f.evaluated(tr)
	f.same()
	if n := f.number("SELECT sum(revision) FROM backstitch.entities"); n != revisions {
		t.Error("reading everything again changed a desired state")
	}
}

// held waits until the transform ended with a hold, whose fix must contain words.
func (f *feeder) held(tr *Transform, reason, fix string) {
	f.t.Helper()
	f.until("the transform is held", func() bool { return isClosed(tr.Done()) })
	h, ok := stage.AsHeld(tr.Err())
	if !ok || !strings.Contains(h.Reason, reason) || !strings.Contains(h.Fix, fix) {
		f.t.Fatalf("ended with %v, want a hold because %q that says %q", tr.Err(), reason, fix)
	}
	if s := tr.Status(); s.State != Failed || s.Held == nil {
		f.t.Errorf("status %+v does not show the hold", s)
	}
}

func TestOffsetsThatMeanNothingHold(t *testing.T) { // hazards C10, S22
	t.Parallel()
	prepare := func(t *testing.T) *feeder {
		f := docsFeeder(t)
		f.reading().insert("docs", 1, "a", nil, nil, nil).insert("docs", 2, "b", nil, nil, nil).insert("docs", 3, "c", nil, nil, nil).end()
		f.loaded()
		tr := f.start()
		f.evaluated(tr)
		f.stop(tr)
		return f
	}
	topic := func(f *feeder) string { return f.tables["docs"].topic }
	t.Run("topic recreated", func(t *testing.T) {
		t.Parallel()
		f := prepare(t)
		answers, err := f.admin.DeleteTopics(f.ctx, topic(f))
		f.check(err)
		f.check(answers.Error())
		f.until("the topic is there again", func() bool {
			_, err := f.admin.CreateTopic(f.ctx, 3, 1, nil, topic(f))
			return err == nil
		})
		f.identify()
		f.begin().end()
		f.held(f.start(), "recreated", "backfill --all")
	})
	t.Run("offset gone", func(t *testing.T) {
		t.Parallel()
		f := prepare(t)
		policy := "delete,compact"
		answers, err := f.admin.AlterTopicConfigs(f.ctx, []kadm.AlterConfig{{Name: "cleanup.policy", Value: &policy}}, topic(f))
		f.check(err)
		f.check(answers[0].Err)
		f.begin().insert("docs", 4, "d", nil, nil, nil).insert("docs", 5, "e", nil, nil, nil).insert("docs", 6, "f", nil, nil, nil).insert("docs", 7, "g", nil, nil, nil).end()
		offsets := kadm.Offsets{}
		for p, end := range f.ends[topic(f)].Ends {
			offsets.Add(kadm.Offset{Topic: topic(f), Partition: int32(p), At: end})
		}
		f.until("the records are deleted", func() bool { // the broker takes a moment to follow the new policy
			answers, err := f.admin.DeleteRecords(f.ctx, offsets)
			return err == nil && answers.Error() == nil
		})
		f.held(f.start(), "is gone", "backfill --all")
	})
	t.Run("away too long", func(t *testing.T) {
		t.Parallel()
		f := prepare(t)
		_, err := f.pool.Exec(f.ctx, "UPDATE backstitch.transform SET filled_at = now() - interval '8 days'")
		f.check(err)
		tr := f.start()
		f.until("it works: nothing was written meanwhile", func() bool {
			return tr.Status().State == Running && tr.Status().Backlog == 0 && tr.Status().Doing == phaseFollowing
		})
		f.stop(tr)
		_, err = f.pool.Exec(f.ctx, "UPDATE backstitch.transform SET filled_at = now() - interval '8 days'")
		f.check(err)
		f.begin().remove("docs", 1).end()
		f.held(f.start(), "away for 192h", "backfill --all")
	})
	t.Run("the ledger is the legacy database", func(t *testing.T) {
		t.Parallel()
		f := docsFeeder(t)
		_, err := f.pool.Exec(f.ctx, docsDDL)
		f.check(err)
		f.loaded()
		f.held(f.start(), "did not make", "database of its own")
	})
}

func TestTruncateWaitsForAPerson(t *testing.T) { // hazard S25, invariant 7
	t.Parallel()
	f := docsFeeder(t)
	f.begin().control(schemas.ControlTruncate, "docs").end() // before loading there is nothing to ask for
	tr := f.start()
	f.reading().insert("docs", 1, "a", nil, nil, nil).insert("docs", 2, "b", nil, nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	if n := f.number("SELECT count(*) FROM backstitch.consents"); n != 0 {
		t.Fatal("a person was asked about a table of which nothing was loaded")
	}
	// in one transaction: a row, TRUNCATE, another row
	tx := f.begin().insert("docs", 3, "c", nil, nil, nil).control(schemas.ControlTruncate, "docs")
	f.sql("TRUNCATE docs")
	tx.insert("docs", 4, "d", nil, nil, nil).end()
	f.until("a person is asked", func() bool { return tr.Status().Held != nil })
	f.begin().insert("docs", 5, "e", nil, nil, nil).end()
	if n := f.number("SELECT count(*) FROM docs"); n != 2 {
		t.Fatalf("%d rows in the mirror: something beyond the TRUNCATE was filled", n)
	}
	// the question survives a restart, and is not asked twice
	f.stop(tr)
	tr = f.start()
	f.until("a person is still asked", func() bool { return tr.Status().Held != nil })
	id := f.number("SELECT id FROM backstitch.consents WHERE kind = 'truncate' AND done_at IS NULL")
	if !strings.Contains(tr.Status().Held.Fix, "approve") {
		t.Errorf("the fix does not say what to do: %s", tr.Status().Held.Fix)
	}
	_, err := f.pool.Exec(f.ctx, "UPDATE backstitch.consents SET approved_at = now() WHERE id = $1", id)
	f.check(err)
	tr.Wake()
	f.evaluated(tr)
	f.same()
	if f.number("SELECT count(*) FROM backstitch.entities WHERE desired IS NULL AND earned") != 2 || f.number("SELECT count(*) FROM backstitch.consents WHERE done_at IS NOT NULL") != 1 {
		t.Fatal("the approved TRUNCATE did not take the entities with it")
	}
}

func TestAColumnThatChangesIsIncompleteUntilItWasReadAgain(t *testing.T) { // hazard C9
	t.Parallel()
	f := docsFeeder(t)
	f.reading().insert("docs", 1, "a", "1", nil, nil).insert("docs", 2, "b", "2", nil, nil).end()
	f.done["public.docs"] = schemas.TableProgress{Done: true, Run: 1, Point: f.commit}
	f.loaded()
	tr := f.start()
	f.evaluated(tr)
	before := tr.Status().Evaluated
	f.sql("ALTER TABLE docs ALTER big TYPE varchar(90)")
	f.begin().control(schemas.ControlColumns, "docs", "big").update("docs", 1, "a2", "11", nil, nil).end()
	f.until("the mapping waits", func() bool { return tr.Status().Held != nil })
	if !strings.Contains(tr.Status().Held.Reason, "public.docs.big") || tr.Status().Evaluated != before {
		t.Fatalf("held because %q", tr.Status().Held.Reason)
	}
	f.until("the mirror follows", func() bool {
		return f.number("SELECT count(*) FROM pg_attribute WHERE attrelid = 'docs'::regclass AND attname = 'big' AND format_type(atttypid, atttypmod) = 'character varying(90)'") == 1
	})
	f.run = 2
	f.done["public.docs"] = schemas.TableProgress{Done: true, Run: 2, Point: f.commit + 0x100}
	f.begin().end()
	f.evaluated(tr)
	f.same()
	if tr.Status().Held != nil {
		t.Fatal("still held")
	}
}
