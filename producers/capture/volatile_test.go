package capture_test

import (
	"strings"
	"testing"

	"github.com/backstitch/backstitch/producers/capture"
)

func volatile(epoch uint32) func(*capture.Config, *capture.Deps) {
	return func(c *capture.Config, _ *capture.Deps) { c.Volatile, c.FirstEpoch = true, epoch }
}

// slots counts the slots of the rig's database.
func (r *rig) slots() (n int) {
	r.t.Helper()
	r.scan(&n, "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()")
	return n
}

// keysOf are the keys of an epoch's records that are not deletes.
func (r *rig) keysOf(epoch uint32) map[string]bool {
	live := map[string]bool{}
	for _, k := range r.records() {
		if k.Version.Epoch == epoch && !k.Tombstone {
			live[k.Key] = true
		}
	}
	return live
}

// A volatile source has a slot that ends with its session. What ends the session costs
// another epoch, in which every table is read, and no row.
func TestVolatileSourceBeginsAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t SELECT i, 'x' FROM generate_series(1, 20) i`, "t")
	s := r.start(volatile(5))
	r.caughtUp(s)
	var temporary bool
	r.scan(&temporary, "SELECT temporary FROM pg_replication_slots WHERE slot_name = $1", "backstitch_"+r.cfg.Prefix)
	if !temporary || s.Status().Epoch != 5 {
		t.Fatalf("a slot that is temporary: %t, epoch %d", temporary, s.Status().Epoch)
	}
	r.exec("BEGIN; DELETE FROM t WHERE id = 7; SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '" +
		"backstitch_" + r.cfg.Prefix + "'; COMMIT")
	r.until("the next epoch", func() bool { return s.Status().Epoch == 6 })
	r.caughtUp(s)
	if live := r.keysOf(6); len(live) != 19 {
		t.Errorf("%d keys in the new epoch, want the 19 rows that are there", len(live))
	}
	kill(s)
	r.until("the slot to end", func() bool { return r.slots() == 0 })
}

// A slot that outlives processes is somebody else's, and is left alone.
func TestVolatileSourceLeavesSlotsOfOthersAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, one, "t")
	s := r.start()
	r.caughtUp(s)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = r.start(volatile(2))
	r.until("a hold", func() bool { return s.Held() != nil })
	if held := s.Held(); !strings.Contains(held.Reason, "outlives processes") || !strings.Contains(held.Fix, "teardown") {
		t.Errorf("%v", held)
	}
	if r.slots() != 1 {
		t.Error("the slot is gone")
	}
}

// Another process with the same slot stands by while the first one reads.
func TestSecondVolatileSourceStandsBy(t *testing.T) {
	t.Parallel()
	r := newRig(t, one, "t")
	first := r.start(volatile(1))
	r.caughtUp(first)
	second := r.start(volatile(1))
	r.until("it to stand by", func() bool { return second.Status().State == capture.StateStandby })
	if first.Status().State != capture.StateRunning || r.slots() != 1 {
		t.Errorf("the first one is %s, with %d slots", first.Status().State, r.slots())
	}
}
