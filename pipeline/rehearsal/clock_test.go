package rehearsal

import (
	"context"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
)

func TestClockKeepsThePace(t *testing.T) {
	t.Parallel()
	ctx, begin := context.Background(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c, pace := NewClock(begin), ledger.Pace{Rate: 60}
	take := func(lane schemas.Lane, n int) {
		t.Helper()
		if wait, err := c.Slice(ctx, pace, lane, n); wait != 0 || err != nil {
			t.Fatal(wait, err)
		}
	}
	for range 600 {
		take(schemas.LaneBackfill, 6)
	}
	if e := c.Elapsed(); e != time.Minute {
		t.Errorf("3600 requests at 60/s took %s", e)
	}
	if err := c.Halve(ctx, "", time.Minute); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		take(schemas.LaneBackfill, 6)
	}
	if e := c.Elapsed() - time.Minute; e < 59*time.Second || e > 61*time.Second {
		t.Errorf("1800 requests at half the pace took %s", e)
	}
	take(schemas.LaneLive, 60) // is not halved
	before := c.Now()
	if !c.Sleep(ctx, 30*time.Second) || c.Now().Sub(before) != 30*time.Second {
		t.Error("a pause is not skipped")
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if c.Sleep(ended, 0) {
		t.Error("it sleeps on")
	}
}
