package capture_test

import (
	"strings"
	"testing"

	"github.com/backstitch/backstitch/producers/capture"
)

// hazard S11: a held source waits, without its slot, for the way out that it names,
// and takes it in the same process. A request that cures nothing is tried once.
func TestHeldSourceServesTheWayOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, one+`; INSERT INTO t SELECT i, 'x' FROM generate_series(1, 20) i`, "t")
	s := r.start()
	r.caughtUp(s)
	if err := s.Backfill(t.Context(), r.cfg.Tables); err != nil { // answered: no reason to try again
		t.Fatal(err)
	}
	r.until("the second run", func() bool { st := s.Status(); return st.Run == 2 && st.Backfill["public.t"].Done })
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.exec("SELECT pg_drop_replication_slot($1)", "backstitch_"+r.cfg.Prefix)
	r.exec("DELETE FROM t WHERE id = 7") // nobody saw it
	s = r.start()
	r.until("a hold", func() bool { return s.Held() != nil })
	if held := s.Held(); !strings.Contains(held.Reason, "is gone") || !strings.Contains(held.Fix, "backfill --all") {
		t.Errorf("%v", held)
	}
	if strings.Contains(r.logged(), "tries again") {
		t.Error("an answered request made it try again")
	}
	if err := s.Backfill(t.Context(), r.cfg.Tables); err != nil { // of no help
		t.Fatal(err)
	}
	r.until("it to try again, and to hold again", func() bool {
		return strings.Count(r.logged(), "tries again") == 1 && s.Held() != nil
	})
	if err := s.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r.until("the next epoch", func() bool { return s.Status().Epoch == 2 })
	r.caughtUp(s)
	if s.Held() != nil || s.Status().Reason != "" || s.Status().State != capture.StateRunning {
		t.Errorf("after the way out: %+v", s.Status())
	}
	if n := strings.Count(r.logged(), "tries again"); n != 2 {
		t.Errorf("it tried %d times, want 2", n)
	}
	live := map[string]bool{}
	for _, k := range r.records() {
		if k.Version.Epoch == 2 {
			live[k.Key] = true
		}
	}
	if len(live) != 19 {
		t.Errorf("%d keys in the new epoch, want the 19 rows that are there", len(live))
	}
}
