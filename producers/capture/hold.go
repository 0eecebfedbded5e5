package capture

import (
	"context"
	"errors"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers/publisher"
)

// Held says why the source must not go on until a person acts; nil while it may.
// A held source keeps running without the slot: it goes on through the recovery path
// when a backfill is asked for, which is the way out of the holds that say so
// (hazards S10, S11), and otherwise at the next start.
func (s *Source) Held() *stage.Held {
	st := s.Status()
	if st.State != StateFailed {
		return nil
	}
	return &stage.Held{Reason: st.Reason, Fix: st.Fix}
}

// hold waits for a request that no session has seen yet, or for the end. A request
// is tried once: what it does not cure holds again.
func (s *Source) hold(ctx context.Context, stopping <-chan struct{}, held *stage.Held) error {
	s.status.set(func(st *Status) { st.State, st.Reason, st.Fix, st.Phase = StateFailed, held.Reason, held.Fix, "" })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	asked := make(chan error, 1)
	go func() {
		asked <- publisher.AwaitRequest(ctx, publisher.Config{Prefix: s.cfg.Prefix, Kafka: s.deps.Kafka, Logger: s.log}, s.tried)
	}()
	select {
	case <-stopping:
		cancel()
		if err := <-asked; err != nil && !errors.Is(err, context.Canceled) {
			return errors.Join(held, err)
		}
		return nil
	case err := <-asked:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return errors.Join(held, err)
		}
	}
	s.status.set(func(st *Status) {
		st.State, st.Reason, st.Fix = StateRestarting, "a backfill was asked for while the source was held", ""
	})
	s.log.InfoContext(ctx, "a backfill was asked for: the held source tries again")
	return nil
}
