package apply

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
)

// restartAfter is the pause before a connector that lost a server begins again.
const restartAfter = time.Second

// run applies until it must stop. Losing the ledger or Kafka for a while ends what
// is under way and begins again: what is in doubt has its mark in the ledger.
func (a *Apply) run(ctx context.Context, stopping <-chan struct{}) error {
	for {
		err := a.current.Load().serve(ctx, stopping)
		if err == nil || ctx.Err() != nil || !again(err) {
			return err
		}
		select {
		case <-stopping:
			return err
		default:
		}
		a.log.Warn("apply starts again", "error", redact.SQLError(err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stopping:
			return nil
		case <-time.After(restartAfter):
		}
		a.current.Store(a.fresh())
	}
}

// fresh is the connector with nothing of a run: what a start needs.
func (a *Apply) fresh() *Apply {
	b := &Apply{
		cfg: a.cfg, pool: a.pool, ledger: a.ledger, budget: a.budget, client: a.client, seeds: a.seeds,
		log: a.log, clock: a.clock, metrics: a.metrics, digest: a.digest, sched: newScheduler(),
		nudged: make(chan struct{}, 1), stopping: make(chan struct{}), failed: make(chan error, 1),
	}
	b.sched.ordered = b.cfg.Ordered
	b.state.Store("UNASSIGNED")
	pace := ledger.Pace{Project: b.cfg.ProjectID, Rate: b.cfg.RateLimit, Floor: b.cfg.BackfillFloor}
	b.pacer = newPacer(b.budget, pace, b.cfg.Workers, b.share, b.stopping)
	b.loads = newBatcher(b.ledger.Load)
	b.marks = newBatcher(func(ctx context.Context, in []ledger.MarkRequest) ([]ledger.MarkResult, error) {
		return b.ledger.Mark(ctx, in, b.cfg.CallTimeout, b.cfg.Settle)
	})
	b.records = newBatcher(b.ledger.Record)
	return b
}

// share is the part of the partitions that this instance owns.
func (a *Apply) share() float64 {
	return float64(len(a.sched.owned())) / float64(a.cfg.Partitions)
}

// again tells what a new session of the connector mends: a lost server, leases that
// another instance has taken, and a mapping that was accepted meanwhile.
func again(err error) bool {
	var digest *ledger.DigestError
	return errors.Is(err, errTaken) || errors.As(err, &digest) || lostServer(err)
}

// lostServer tells a server that went away from an error that would come again.
func lostServer(err error) bool {
	if _, held := stage.AsHeld(err); held {
		return false
	}
	return pgsession.Lost(err) || kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err)
}
