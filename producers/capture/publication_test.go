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
