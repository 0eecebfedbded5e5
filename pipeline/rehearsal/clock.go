package rehearsal

import (
	"context"
	"sync"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
)

// Clock is the time of the real run, as far as its calls decide it: it stands still
// but for the pauses that the pace of the calls makes, and those it skips. It is the
// apply connector's budget and the simulator's clock. So limits are kept, and throttled
// calls waited for, as in the real run; and the rehearsal is as fast as the machine.
type Clock struct {
	mu struct {
		sync.Mutex
		begin, now time.Time
		// next is when the next request may be sent, backfill when the next one of
		// backfill may, halved until when backfill has half its pace.
		next, backfill, halved time.Time
		requests               int64
	}
}

// NewClock makes a clock that begins at a time.
func NewClock(begin time.Time) *Clock {
	c := &Clock{}
	c.mu.begin, c.mu.now, c.mu.next, c.mu.backfill = begin, begin, begin, begin
	return c
}

// Slice takes n requests, and goes on to the time at which they may be sent.
func (c *Clock) Slice(_ context.Context, p ledger.Pace, lane schemas.Lane, n int) (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cost := time.Duration(float64(n) / p.Rate * float64(time.Second))
	start := later(c.mu.next, c.mu.now)
	if lane == schemas.LaneBackfill {
		start = later(start, c.mu.backfill)
		c.mu.backfill = start.Add(cost)
		if c.mu.halved.After(start) {
			c.mu.backfill = start.Add(2 * cost)
		}
	}
	c.mu.next = start.Add(cost)
	c.mu.now = start
	c.mu.requests += int64(n)
	return 0, nil
}

// Halve halves backfill's pace for a while.
func (c *Clock) Halve(_ context.Context, _ string, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.halved = c.mu.now.Add(d)
	return nil
}

// Now is the time of the real run.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.now
}

// Sleep skips a pause.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d > 0 {
		c.mu.now = c.mu.now.Add(d)
	}
	return ctx.Err() == nil
}

// Elapsed is how long the requests that were taken last.
func (c *Clock) Elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return later(c.mu.next, c.mu.now).Sub(c.mu.begin)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
