package capture_test

import (
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/backstitch/backstitch/integration/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m,
		goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kgo.(*Client).reapConnectionsLoop")) // a client's last connections end after Close
}

// invariant 9: 400 MB in one source transaction pass through a small part of it in
// memory. It runs alone: it measures the heap.
func TestLargeTransactionInBoundedMemory(t *testing.T) {
	const rows, width, limit = 50_000, 8_000, 150 << 20
	r := newRig(t, one, "t")
	s := r.start()
	r.caughtUp(s)
	runtime.GC() // what other tests left would set the pace of the next collections
	r.exec("ALTER TABLE t ALTER v SET STORAGE EXTERNAL")
	r.exec("INSERT INTO t SELECT i, repeat(chr(97 + i % 26), $2) FROM generate_series(1, $1::int) i", rows, width)
	var peak uint64
	end := func() (n int64) {
		for _, topic := range r.checkpoint().Topics {
			for _, e := range topic.Ends {
				n += e
			}
		}
		return n
	}
	r.until("the transaction in the topics", func() bool {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
		p := s.Status().Position
		return p.EndsTransaction && s.Status().Records >= rows
	})
	if n := end(); n < rows {
		t.Errorf("ends add up to %d, want at least %d", n, rows)
	}
	t.Logf("peak heap %d MB", peak>>20)
	if peak > limit {
		t.Errorf("peak heap %d MB for a transaction of %d MB, want at most %d MB", peak>>20, rows*width>>20, limit>>20)
	}
}
