package apply

import (
	"context"
	"time"
)

// dueAtOnce bounds how many due entities are queued by one look.
const dueAtOnce = 2000

// pollDue queues what is due in the partitions whose lease is held (hazard A5):
// every poll interval, and soon after turns that may have made others due.
func (a *Apply) pollDue(ctx context.Context) error {
	var housekeeping time.Time
	for {
		if err := a.queueDue(ctx); err != nil {
			return unlessDone(ctx, err)
		}
		if now := a.clock(); now.Sub(housekeeping) > time.Minute {
			housekeeping = now
			if err := a.ledger.CloseConsents(ctx); err != nil {
				return unlessDone(ctx, err)
			}
			if err := a.ledger.ForgetHistory(ctx, 10_000); err != nil {
				return unlessDone(ctx, err)
			}
		}
		if !sleep(ctx, min(25*time.Millisecond, a.cfg.DuePoll)) { // however often it is nudged
			return nil
		}
		timer := time.NewTimer(a.cfg.DuePoll)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-a.nudged:
		}
		timer.Stop()
	}
}

func (a *Apply) queueDue(ctx context.Context) error {
	terms := a.sched.owned()
	if len(terms) == 0 {
		return nil
	}
	partitions := make([]int32, 0, len(terms))
	for p := range terms {
		partitions = append(partitions, p)
	}
	due, err := a.ledger.Due(ctx, partitions, dueAtOnce)
	if err != nil {
		return err
	}
	for _, d := range due {
		a.sched.add(d.Key, d.Partition, d.Lane, nil)
	}
	return nil
}
