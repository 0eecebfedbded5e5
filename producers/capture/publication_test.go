package capture_test

import (
	"strings"
	"testing"

	"github.com/backstitch/backstitch/producers/capture"
)

// TestKeptPublication: a publication that somebody else keeps is neither made nor
// changed; the source is held and names the statement.
func TestKeptPublication(t *testing.T) {
	t.Parallel()
	r := newRig(t, one, "t")
	r.cfg.KeepPublication = true
	if reason := r.held(); !strings.Contains(reason, capture.DefaultSlot(r.cfg.Prefix)) {
		t.Errorf("held because %q", reason)
	}
	var n int
	r.scan(&n, "SELECT count(*) FROM pg_publication")
	if n != 0 {
		t.Fatal("it made a publication")
	}
	r.exec("CREATE PUBLICATION " + capture.DefaultSlot(r.cfg.Prefix) + " FOR TABLE t WITH (publish_via_partition_root = true)")
	s := r.start()
	r.caughtUp(s)
}

// hazard S35: a table that somebody took out of the publication is not quietly put
// back: what changed meanwhile is in no topic (invariant 6). The source is held, and the way out
// reads everything again.
func TestTableLeftThePublication(t *testing.T) {
	t.Parallel()
	for _, described := range []bool{true, false} {
		r := newRig(t, one+`; INSERT INTO t SELECT i, 'x' FROM generate_series(1, 10) i`, "t")
		s := r.start()
		r.caughtUp(s)
		if described { // the stream has told its shape
			r.exec("UPDATE t SET v = 'y' WHERE id = 1")
			r.caughtUp(s)
		}
		r.exec("ALTER PUBLICATION backstitch_" + r.cfg.Prefix + " DROP TABLE t")
		r.exec("DELETE FROM t WHERE id = 3") // nobody sees it
		r.until("a hold", func() bool { return s.Held() != nil })
		if held := s.Held(); !strings.Contains(held.Reason, "t is not in publication") || !strings.Contains(held.Fix, "backfill --all") {
			t.Fatalf("%v", held)
		}
		if err := s.Backfill(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		r.until("the next epoch", func() bool { return s.Status().Epoch == 2 })
		r.caughtUp(s)
		r.verifyEpoch(2)
	}
}
