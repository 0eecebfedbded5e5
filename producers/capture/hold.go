package capture

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers/publisher"
)

// Held says why the source must not go on until a person acts; nil while it may.
// A held source keeps running without the slot. It goes on through the recovery path
// when a backfill is asked for, which is the way out of the holds that say so
// (hazards S10, S11); where the cause can be mended elsewhere, it looks every 10 s
// whether it was.
func (s *Source) Held() *stage.Held {
	st := s.Status()
	if st.State != StateFailed {
		return nil
	}
	return &stage.Held{Reason: st.Reason, Fix: st.Fix}
}

// hold waits for a request that no session has seen yet, for the pace at which a cause
// that may have gone is looked at again, or for the end. A request is tried once: what
// it does not cure holds again.
func (s *Source) hold(ctx context.Context, stopping <-chan struct{}) error {
	held := s.held
	s.setState(StateFailed, held.Reason, held.Fix)
	s.status.set(func(st *Status) { st.Phase = "" })
	waitCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	asked := make(chan error, 1)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		asked <- publisher.AwaitRequest(waitCtx, publisher.Config{Prefix: s.cfg.Prefix, Kafka: s.deps.Kafka, Logger: s.log}, s.tried)
	})
	var again <-chan time.Time
	if !final(held) {
		timer := time.NewTimer(s.cfg.Recheck)
		defer timer.Stop()
		again = timer.C
	}
	select {
	case <-stopping:
		cancel()
		waiting.Wait()
		return nil
	case <-again:
		cancel()
		waiting.Wait()
		return ctx.Err()
	case <-s.over:
		cancel()
		waiting.Wait()
		s.dropExceeded(ctx)
		return ctx.Err()
	case err := <-asked:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return errors.Join(held, err)
		}
	}
	s.held = nil
	s.setState(StateRestarting, "a backfill was asked for while the source was held", "")
	s.log.InfoContext(ctx, "a backfill was asked for: the held source tries again")
	return nil
}

// final says that nothing but a backfill request ends a hold: what was lost does not
// come back by waiting.
func final(held *stage.Held) bool { return strings.HasPrefix(held.Fix, wayOut) }

const wayOut = "Run `backstitch backfill --all`"
