package apply

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/backstitch/backstitch/schemas"
)

// TestThroughput measures calls per second against the simulator in this process;
// APPLY_TEST_MEMBERS makes it more than a smoke test.
func TestThroughput(t *testing.T) {
	n := 500
	if s := os.Getenv("APPLY_TEST_MEMBERS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	w := newWorld(t, options{cfg: func(c *Config) {
		c.Workers, c.Partitions, c.RateLimit = 48, 12, 900
		c.CallTimeout, c.Settle = 10*time.Second, 10*time.Second
	}})
	for o := range 20 {
		w.announce(org(strconv.Itoa(o)), w.store(org(strconv.Itoa(o)), orgState(strconv.Itoa(o)), true, schemas.LaneBackfill), schemas.LaneBackfill)
	}
	for i := range n {
		k := member(strconv.Itoa(i%20), strconv.Itoa(i))
		w.announce(k, w.store(k, memberState(fmt.Sprintf("user%d@example.com", i), "password_hash", hashes[i%8]), true, schemas.LaneBackfill), schemas.LaneBackfill)
	}
	start := time.Now()
	w.start()
	w.settled()
	took := time.Since(start)
	t.Logf("%d members in %v: %.0f calls/s of 900", n, took, float64(n+20)/took.Seconds())
	if throttled := len(w.writes(0)) - n - 20; throttled != 0 {
		t.Errorf("%d calls more than entities", throttled)
	}
	if diffs := w.compare(); len(diffs) > 0 {
		t.Error(diffs[:1])
	}
}
