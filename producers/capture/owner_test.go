package capture_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/schemas"
)

const one = `CREATE TABLE t (id int PRIMARY KEY, v text)`

// hazard S14: an instance started beside a healthy owner stands by and fences
// nobody; when the owner drains, it takes over, and nothing is lost or doubled.
func TestSecondInstanceStandsBy(t *testing.T) {
	t.Parallel()
	r := newRig(t, one, "t")
	first := r.start()
	r.caughtUp(first)
	second := r.start()
	r.until("the second instance to stand by", func() bool { return second.Status().State == capture.StateStandby })
	for i := range 20 {
		r.exec("INSERT INTO t VALUES ($1, 'x')", i)
	}
	r.caughtUp(first)
	if second.Status().State != capture.StateStandby {
		t.Fatalf("the second instance is %s", second.Status().State)
	}
	if strings.Contains(r.logged(), "starts again") {
		t.Fatal("the owner was disturbed")
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.exec("UPDATE t SET v = 'y'")
	r.caughtUp(second)
	r.verify(r.records())
}

// invariant 2: an owner that was fenced, whatever it still does, gets nothing into
// the topics; it starts again from the last checkpoint.
func TestFencedOwnerStartsAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, one, "t")
	s := r.start()
	r.caughtUp(s)
	thief, err := kgo.NewClient(append([]kgo.Opt{kgo.TransactionalID(publisher.TransactionalID(r.cfg.Prefix))}, r.kafka...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	if _, _, err := thief.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.exec("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 100) i")
	r.until("the fenced owner to notice", func() bool { return strings.Contains(r.logged(), "starts again") })
	r.caughtUp(s)
	r.verify(r.records())
}

// hazard S12: a record that says `creating` with an idle slot is a crash between
// the slot's creation and the first checkpoint: the slot is made again.
func TestCrashBetweenSlotAndFirstCheckpoint(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t VALUES (1, 'before')`, "t")
	pub, recovered, err := publisher.Open(t.Context(), publisher.Config{Prefix: r.cfg.Prefix, CreateTopics: true, Kafka: r.kafka})
	if err != nil {
		t.Fatal(err)
	}
	if recovered.Checkpoint != nil {
		t.Fatal("a new prefix has a checkpoint")
	}
	b := &publisher.Batch{Creating: true, Source: schemas.Source{Epoch: 1}}
	if _, err := pub.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	pub.Close()
	r.exec("CREATE PUBLICATION backstitch_" + r.cfg.Prefix + " FOR TABLE t")
	r.exec("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", "backstitch_"+r.cfg.Prefix)
	r.exec("INSERT INTO t VALUES (2, 'after')") // in the old slot: it would come a second time
	s := r.start()
	r.caughtUp(s)
	records := r.records()
	r.verify(records)
	if len(records) != 2 {
		t.Fatalf("%d records, want the two rows once", len(records))
	}
}

// hazard S27: while another session holds the slot's lock, an instance neither
// drops an idle slot nor fences its creator: it stands by.
func TestIdleSlotOfACreatorIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, one, "t")
	creator := r.connect()
	slot := "backstitch_" + r.cfg.Prefix
	if _, err := creator.Exec(t.Context(), "SELECT pg_advisory_lock(hashtextextended($1, 0))", "backstitch slot "+slot); err != nil {
		t.Fatal(err)
	}
	r.exec("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", slot)
	s := r.start()
	r.until("it to stand by", func() bool { return s.Status().State == capture.StateStandby })
	var n int
	r.scan(&n, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1", slot)
	if n != 1 {
		t.Fatal("the creator's slot was dropped")
	}
	r.exec("SELECT pg_drop_replication_slot($1)", slot)
	if _, err := creator.Exec(t.Context(), "SELECT pg_advisory_unlock_all()"); err != nil {
		t.Fatal(err)
	}
	r.caughtUp(s)
}

// held starts a source that must not go on, and returns its reason.
func (r *rig) held() string {
	r.t.Helper()
	s := r.start()
	r.until("a hold", func() bool { return s.Status().State == capture.StateFailed })
	st := s.Status()
	if st.Fix == "" || s.Held() == nil {
		r.t.Error("a hold without a fix")
	}
	if err := s.Stop(r.t.Context()); err != nil {
		r.t.Errorf("a held source stops with %v", err)
	}
	return st.Reason
}

// hazards S10 and S11, S22: a slot dropped, a slot made again by hand, a topic made
// again: each holds with its reason; `backfill --all` is the way out of each, with
// the next epoch, and its rows win over any LSN.
func TestHoldsAndTheWayOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t SELECT i, 'x' FROM generate_series(1, 20) i`, "t")
	slot := "backstitch_" + r.cfg.Prefix
	topic := r.cfg.Prefix + ".public.t"
	s := r.start()
	r.caughtUp(s)
	breaks := []struct{ reason, what string }{
		{"is gone", "drop"}, {"beyond the last checkpoint", "again"}, {"deleted and made again", "topic"},
	}
	for i, b := range breaks {
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		switch b.what {
		case "topic":
			r.recreateTopic(topic)
		default:
			r.exec("SELECT pg_drop_replication_slot($1)", slot)
		}
		if b.what == "again" {
			r.exec("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", slot)
		}
		r.exec("DELETE FROM t WHERE id = $1", i+1) // nobody saw it
		if reason := r.held(); !strings.Contains(reason, b.reason) {
			t.Fatalf("held because %q, want %q", reason, b.reason)
		}
		if err := capture.RequestBackfill(t.Context(), r.kafka, r.cfg.Prefix, nil); err != nil {
			t.Fatal(err)
		}
		s = r.start()
		r.caughtUp(s)
		if got := r.checkpoint().Source.Epoch; got != uint32(i+2) {
			t.Fatalf("epoch %d after the way out, want %d", got, i+2)
		}
	}
	live := map[string]bool{}
	for _, k := range r.records() {
		if k.Version.Epoch == 4 {
			live[k.Key] = true
		}
	}
	if len(live) != 17 {
		t.Fatalf("%d keys in the last epoch, want the 17 rows that are there", len(live))
	}
}

// hazard S2: re-decoded from another point, a transaction gives another number of
// rows; resume skips by version and misses none.
func TestResumeSkipsByVersion(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+"; CREATE TABLE b (id int PRIMARY KEY)", "t")
	s := r.start()
	r.caughtUp(s)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := r.checkpointOf(s)
	tx, err := r.connect().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		if _, err := tx.Exec(t.Context(), "INSERT INTO t VALUES ($1, 'x')", i); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if _, err := tx.Exec(t.Context(), "INSERT INTO b VALUES (1)"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A former owner emitted part of it: what it wrote last is in the checkpoint. Here
	// it is made by an owner whose batches hold one record and that is killed inside.
	for range 5 {
		s = r.start(func(cfg *capture.Config, _ *capture.Deps) { cfg.BatchRecords = 1 })
		r.until("a step", func() bool {
			now := s.Status().Position.Version
			return now.Compare(c.Position.Version) > 0
		})
		kill(s)
		if c = r.checkpointOf(s); c.Position.EndsTransaction {
			break // it wrote the rest before it was killed
		}
	}
	s = r.start()
	r.caughtUp(s)
	r.verify(r.records())
}

// invariant 9: a transaction of 200,000 rows streams through in bounded batches,
// each with a checkpoint inside it that ends no transaction, and survives a kill
// in its middle. hazard S1: its rows stand under its commit LSN from the first on.
func TestLargeTransaction(t *testing.T) {
	t.Parallel()
	const n = 200_000
	r := newRig(t, one, "t")
	v := r.startValved()
	r.caughtUp(v.source)
	v.allow(n / 2)
	r.exec(fmt.Sprintf("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, %d) i", n))
	r.until("the middle of the transaction", func() bool { return !v.source.Status().Position.EndsTransaction })
	v.kill()
	if c := r.checkpointOf(v.source); c.Position.EndsTransaction || c.Position.EndLSN >= c.Position.Version.Commit {
		t.Errorf("a checkpoint inside a transaction says %+v", c.Position)
	}
	s := r.start()
	r.caughtUp(s)
	records := r.records()
	if len(records) != n {
		t.Fatalf("%d records, want %d", len(records), n)
	}
	commit := records[0].Version.Commit
	for _, k := range records {
		if k.Version.Commit != commit || k.Version.Commit == 0 {
			t.Fatalf("version %s is not of the one transaction", k.Version)
		}
	}
	r.verify(records)
}

// hazard S19: a walsender that the server takes for its synchronous standby holds
// the source, and gives the slot up. It is not tried again while the setting stands, and
// goes on by itself once it does not.
func TestSynchronousStandbyHolds(t *testing.T) {
	t.Parallel()
	r := newOwnRig(t, one, "t")
	s := r.start(func(c *capture.Config, _ *capture.Deps) { c.Recheck = 50 * time.Millisecond })
	r.caughtUp(s)
	r.alterSystem("synchronous_standby_names", "*")
	r.until("a hold", func() bool { return s.Status().State == capture.StateFailed })
	if reason := s.Status().Reason; !strings.Contains(reason, "synchronous_standby_names") {
		t.Fatalf("held because %q", reason)
	}
	r.until("the slot to be given up", func() bool {
		var active bool
		r.scan(&active, "SELECT bool_or(active) FROM pg_replication_slots")
		return !active
	})
	if n := strings.Count(r.logged(), "the source runs"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
	since := s.Status().Since
	r.until("it to be looked at again", func() bool { return s.Status().Slot.LookedAt.After(since.Add(time.Second)) })
	if st := s.Status(); st.State != capture.StateFailed || !st.Since.Equal(since) {
		t.Errorf("held since %s, now %s since %s", since, st.State, st.Since)
	}
	r.alterSystem("synchronous_standby_names", "")
	r.exec("INSERT INTO t VALUES (1, 'later')")
	r.caughtUp(s)
}

// cdc.md E1, invariant 3: a commit that waits for a missing synchronous standby is
// streamed before any snapshot sees it. A backfill of that table must not write
// the old row after it.
func TestCommitStreamedBeforeItIsVisible(t *testing.T) {
	t.Parallel()
	r := newOwnRig(t, one+`; INSERT INTO t SELECT i, 'old' FROM generate_series(1, 100) i`, "t")
	s := r.start()
	r.caughtUp(s)
	r.alterSystem("synchronous_standby_names", "missing")
	r.commitsWait()
	hung := r.connect()
	done := make(chan error, 1)
	go func() {
		_, err := hung.Exec(context.Background(), "UPDATE t SET v = 'new' WHERE id = 5")
		done <- err
	}()
	r.exec("SET synchronous_commit = local")
	r.until("the hung commit in the topics", func() bool {
		p := s.Status().Position
		lsn, err := capture.Heartbeat(t.Context(), r.sql)
		return err == nil && p.EndsTransaction && p.Version.Commit > 0 && r.hasUpdate("5") && p.EndLSN <= lsn
	})
	var v string
	r.scan(&v, "SELECT v FROM t WHERE id = 5")
	if v != "old" {
		t.Fatalf("the commit is visible (%s): the test tests nothing", v)
	}
	if err := s.Backfill(t.Context(), r.cfg.Tables); err != nil {
		t.Fatal(err)
	}
	r.until("the backfill to wait for the hung commit", func() bool { return s.Status().Waiting != "" })
	r.exec("INSERT INTO t VALUES (101, 'meanwhile')")
	r.until("the stream to go on meanwhile", func() bool { return r.has("101") })
	r.alterSystem("synchronous_standby_names", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.until("the second run", func() bool {
		st := s.Status()
		return st.Run == 2 && st.Backfill["public.t"].Done
	})
	r.caughtUp(s)
	r.verify(r.records())
}

// commitsWait returns when commits wait for a standby: the checkpointer has them do so, a
// moment after other sessions show the setting.
func (r *rig) commitsWait() {
	r.t.Helper()
	r.until("commits to wait for a standby", func() bool {
		probe, ended := r.connect(), make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = probe.Exec(context.Background(), "SELECT pg_logical_emit_message(true, 'probe', '')")
		}()
		for event := ""; event != "SyncRep"; {
			select {
			case <-ended:
				return false
			case <-time.After(10 * time.Millisecond):
				r.scan(&event, "SELECT coalesce(max(wait_event), '') FROM pg_stat_activity WHERE pid = $1", probe.PgConn().PID())
			}
		}
		return true
	})
}

func (r *rig) hasUpdate(key string) bool { return r.find(key, schemas.Update) }
func (r *rig) has(key string) bool       { return r.find(key, schemas.Create) }

func (r *rig) find(key string, op schemas.Op) bool {
	for _, k := range r.records() {
		if k.Key == key && k.Op == op && !k.Tombstone {
			return true
		}
	}
	return false
}

func (r *rig) alterSystem(name, value string) {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range []string{fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", name, value), "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(r.t.Context(), sql); err != nil {
			r.t.Fatal(err)
		}
	}
	deadline := time.Now().Add(patience)
	for {
		var now string
		if err := conn.QueryRow(r.t.Context(), "SELECT current_setting($1)", name).Scan(&now); err != nil {
			r.t.Fatal(err)
		}
		if now == value {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s is still %q", name, now)
		}
	}
}
