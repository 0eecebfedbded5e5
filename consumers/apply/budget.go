package apply

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
)

const (
	// halving is how long backfill runs at half its pace when somebody else spends the
	// same limit.
	halving = time.Minute
	// 429s in so many different seconds, within crowdedWithin, are somebody else's doing.
	// One or two are our own instances', whose requests met in one window of the server's.
	crowdedSeconds = 3
	crowdedWithin  = 10 * time.Second
)

// Budget is the project's requests, and the time in which they are spent.
type Budget interface {
	// Slice takes n requests and says how long to wait before sending them, as
	// ledger.Applier does.
	Slice(ctx context.Context, p ledger.Pace, lane schemas.Lane, n int) (time.Duration, error)
	// Halve halves backfill's pace for a while.
	Halve(ctx context.Context, project string, d time.Duration) error
	Now() time.Time
	// Sleep waits; false when ctx ended first.
	Sleep(ctx context.Context, d time.Duration) bool
}

// shared is the budget in the ledger, which all instances spend, in real time.
type shared struct {
	*ledger.Applier
	clock func() time.Time
}

func (s shared) Now() time.Time { return s.clock() }

func (shared) Sleep(ctx context.Context, d time.Duration) bool { return sleep(ctx, d) }

// pacer hands out the rate budget to turns. Each lane leases slices of it and gives
// them to its waiters in order.
type pacer struct {
	budget   Budget
	pace     ledger.Pace
	stopping <-chan struct{}
	lanes    map[schemas.Lane]chan want
	// share is the part of the partitions that this instance owns, 0 to 1.
	share func() float64

	mu struct {
		sync.Mutex
		paused time.Time // nothing is handed out before it: the server's window is full
		second int64     // of the count
		sent   int
		before int // in the second before it
		// throttled are the last seconds with a 429.
		throttled []int64
	}
}

type want struct {
	n     int
	ready chan struct{}
}

func newPacer(b Budget, p ledger.Pace, queue int, share func() float64, stopping <-chan struct{}) *pacer {
	return &pacer{budget: b, pace: p, share: share, stopping: stopping, lanes: map[schemas.Lane]chan want{
		schemas.LaneLive:     make(chan want, queue), // so that a lane's demand can be counted
		schemas.LaneBackfill: make(chan want, queue),
	}}
}

// take waits for n requests of a lane's budget: the whole of a plan, before its
// first call (hazard A7).
func (p *pacer) take(ctx context.Context, lane schemas.Lane, n int) error {
	w := want{n: n, ready: make(chan struct{})}
	select {
	case p.lanes[lane] <- w:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.stopping:
		return errStopped
	}
	select {
	case <-w.ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.stopping:
		return errStopped
	}
	return nil
}

// loop serves one lane until ctx ends.
func (p *pacer) loop(ctx context.Context, lane schemas.Lane) error {
	var have int
	var leased time.Time
	for {
		var w want
		select {
		case <-ctx.Done():
			return nil
		case w = <-p.lanes[lane]:
		}
		if p.budget.Now().Sub(leased) > 250*time.Millisecond {
			have = 0 // what was not used in its time is gone (hazard A18)
		}
		for have < w.n {
			n := min(p.slice(), w.n-have+len(p.lanes[lane]))
			wait, err := p.budget.Slice(ctx, p.pace, lane, n)
			if err != nil {
				return unlessDone(ctx, err)
			}
			if !p.budget.Sleep(ctx, wait) {
				return nil
			}
			have, leased = have+n, p.budget.Now()
		}
		if !p.budget.Sleep(ctx, p.pause()) {
			return nil
		}
		have -= w.n
		close(w.ready)
	}
}

// slice is the most that one lease takes: 100 ms of the rate (hazard A18), all
// instances together, because slices that are sent late meet in one window of the
// server's (hazard A16); and at least one request.
func (p *pacer) slice() int { return max(1, int(p.pace.Rate/10*p.share())) }

func (p *pacer) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.paused.Sub(p.budget.Now())
}

// count notes a request that is sent.
func (p *pacer) count() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.budget.Now().Unix(); now != p.mu.second {
		p.mu.before = 0
		if now == p.mu.second+1 {
			p.mu.before = p.mu.sent
		}
		p.mu.second, p.mu.sent = now, 0
	}
	p.mu.sent++
}

// lastSecond is how many requests were sent in the last whole second.
func (p *pacer) lastSecond() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.budget.Now().Unix() - p.mu.second {
	case 0:
		return p.mu.before
	case 1:
		return p.mu.sent
	}
	return 0
}

// throttled answers a 429: nothing goes out for as long as the server asks, at
// least until its window may have ended, and backfill slows down when that goes on
// (hazard A16). It returns how long to wait.
func (p *pacer) throttled(ctx context.Context, retryAfter time.Duration) (time.Duration, error) {
	now := p.budget.Now()
	wait := max(retryAfter, now.Truncate(time.Second).Add(time.Second).Sub(now)) // windows are aligned to the clock
	if !p.crowded(now, wait) {
		return wait, nil
	}
	return wait, p.budget.Halve(ctx, p.pace.Project, halving)
}

// crowded notes a 429 and says whether somebody else spends the same limit.
func (p *pacer) crowded(now time.Time, wait time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := now.After(p.mu.paused)
	p.mu.paused = later(p.mu.paused, now.Add(min(wait, time.Second)))
	if float64(p.mu.sent) > p.pace.Rate || !first { // our own count explains it, or it was noted
		return false
	}
	p.mu.throttled = slices.DeleteFunc(p.mu.throttled, func(second int64) bool {
		return second == now.Unix() || second < now.Add(-crowdedWithin).Unix()
	})
	p.mu.throttled = append(p.mu.throttled, now.Unix())
	return len(p.mu.throttled) >= crowdedSeconds
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// unlessDone is nil for an error that the end of ctx explains.
func unlessDone(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
