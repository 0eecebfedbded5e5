package capture_test

import (
	"context"
	"testing"
	"time"

	"github.com/backstitch/backstitch/producers/capture"
)

// once reads a snapshot only, in sessions that may not write.
func once(c *capture.Config, d *capture.Deps) {
	c.SnapshotOnly, c.Slot = true, capture.TemporarySlotName(c.Prefix)
	d.Source.RuntimeParams["default_transaction_read_only"] = "on"
}

// traces is what a source could leave behind in its database.
func (r *rig) traces() (s string) {
	r.t.Helper()
	r.scan(&s, `SELECT concat_ws(' ',
		(SELECT count(*) FROM pg_replication_slots WHERE database = current_database()),
		(SELECT count(*) FROM pg_publication), (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc),
		(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
		(SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables))`)
	return s
}

func (r *rig) complete(s *capture.Source) {
	r.t.Helper()
	r.until("the snapshot to be read", func() bool {
		if err := s.Err(); err != nil {
			r.t.Fatalf("the source ended: %v", err)
		}
		return s.Status().FirstComplete && s.Status().State == capture.StateRunning
	})
}

// A snapshot is read without a publication, a lasting slot or the right to write, and
// nothing of what is committed later.
func TestSnapshotLeavesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t SELECT n, 'v' FROM generate_series(1, 30000) n`, "t")
	var before string
	r.until("statistics to rest", func() bool { // they come with a delay
		r.exec("SELECT pg_stat_force_next_flush()")
		former := before
		before = r.traces()
		return former == before
	})
	s := r.start(once)
	r.complete(s)
	if left := r.traces(); left != before {
		t.Errorf("while it runs: %s, before: %s", left, before)
	}
	r.exec(`INSERT INTO t VALUES (0, 'later')`)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := r.checkpointOf(s)
	if !c.Backfill.FirstComplete || !c.Position.EndsTransaction || c.Position.EndLSN == 0 || c.Source.Epoch != 1 {
		t.Errorf("the checkpoint: %+v", c)
	}
	if n := len(r.records()); n != 30000 {
		t.Errorf("%d records of 30000 rows", n)
	}
}

// What interrupts the reading makes it begin anew, as the next epoch.
func TestSnapshotBeginsAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t SELECT n, repeat('v', 500) FROM generate_series(1, 200000) n`, "t")
	s := r.start(once)
	r.until("the reader's session to be ended", func() bool {
		var ended int
		r.scan(&ended, `SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name IN ('backstitch keeper', 'backstitch backfill')) k`)
		return ended > 0
	})
	r.complete(s)
	if e := s.Status().Epoch; e < 2 {
		t.Errorf("epoch %d after an interruption", e)
	}
	latest := map[string]bool{}
	for _, rec := range r.records() {
		if rec.Version.Epoch == s.Status().Epoch {
			latest[rec.Key] = true
		}
	}
	if len(latest) != 200000 {
		t.Errorf("%d of 200000 rows in the last epoch", len(latest))
	}
}

// A reader that ends while its slot is made does not leave it.
func TestSnapshotSlotEndsWithItsReader(t *testing.T) {
	t.Parallel()
	r := newRig(t, one, "t")
	blocker := r.connect()
	if _, err := blocker.Exec(t.Context(), "BEGIN; CREATE TABLE other (id int)"); err != nil {
		t.Fatal(err)
	}
	slot := capture.TemporarySlotName(r.cfg.Prefix)
	s := r.start(once, func(c *capture.Config, _ *capture.Deps) { c.Slot = slot })
	r.until("the slot's creation to wait for the transaction", func() bool {
		var n int
		r.scan(&n, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1 AND temporary", slot)
		return n > 0
	})
	kill(s)
	r.until("the slot to go", func() bool {
		var n int
		r.scan(&n, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1", slot)
		return n == 0
	})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := blocker.Exec(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
}
