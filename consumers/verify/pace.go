package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/schemas"
)

// searchesPerSecond keeps below Stytch's 100 searches a minute in any minute, and
// leaves the applier the few that it makes.
const searchesPerSecond = 90.0 / 60

// floor is the share of the project's rate that stays for this lane while live
// changes wait: the applier's own for its backfill.
const floor = 0.1

// maxAttempts bounds how often a call is tried that failed for now.
const maxAttempts = 10

// pacer spends two budgets, both in the ledger and so one for all processes: its own
// share, and with it the project's, in the lane that gives way to live changes
// (hazard A16).
type pacer struct {
	ledger  *ledger.Applier
	project string
	rate    float64
	share   float64
	// searches a second, of all of them.
	searches float64
}

func (p *pacer) search(ctx context.Context) error {
	return p.pay(ctx, "/search", p.searches*p.share)
}

func (p *pacer) read(ctx context.Context) error { return p.pay(ctx, "/verify", p.rate*p.share) }

func (p *pacer) pay(ctx context.Context, own string, rate float64) error {
	for _, b := range []ledger.Pace{
		{Project: p.project + own, Rate: rate, Floor: 1},
		{Project: p.project, Rate: p.rate, Floor: floor},
	} {
		wait, err := p.ledger.Slice(ctx, b, schemas.LaneBackfill, 1)
		if err == nil {
			err = rest(ctx, wait)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// patient makes a call within its budget, and again where it failed for now, and says so
// to who waits. What Stytch does not have is an answer: false.
func (v *Verifier) patient(ctx context.Context, pay func(context.Context) error, window time.Duration, call func(context.Context) error) (there bool, err error) {
	for attempt := 0; ; attempt++ {
		if err := pay(ctx); err != nil {
			return false, err
		}
		err = call(ctx)
		var answer *stytch.Error
		switch {
		case err == nil:
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case errors.As(err, &answer) && gone(answer):
			return false, nil
		case errors.As(err, &answer) && answer.Status < 500 && answer.Status != http.StatusTooManyRequests:
			return false, err
		case attempt == maxAttempts:
			return false, fmt.Errorf("tried %d times: %w", attempt, err)
		}
		if attempt == 0 && answer == nil {
			v.tell(fmt.Sprintf("Stytch does not answer; it is tried %d times more, for some minutes: %v", maxAttempts, err))
		}
		if err := rest(ctx, pause(attempt, answer, window)); err != nil {
			return false, err
		}
	}
}

// gone are the answers that an object is not there.
func gone(e *stytch.Error) bool {
	switch e.Type {
	case "member_not_found", "organization_not_found", "member_does_not_exist_in_organization":
		return true
	}
	return false
}

// pause is how long to wait before the next attempt. Stytch's windows begin with the
// clock's second, a search's with its minute.
func pause(attempt int, answer *stytch.Error, window time.Duration) time.Duration {
	jitter := time.Duration(rand.Int64N(int64(500 * time.Millisecond)))
	if answer != nil && answer.Status == http.StatusTooManyRequests {
		now := time.Now()
		return max(answer.RetryAfter, now.Truncate(window).Add(window).Sub(now)) + jitter
	}
	return min(500*time.Millisecond<<attempt, 30*time.Second) + jitter
}
