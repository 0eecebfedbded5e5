package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/schemas"
)

// pollEvery is how often a wait looks at the ledger again.
const pollEvery = 200 * time.Millisecond

// WaitCaughtUp returns when everything that the source committed at or below lsn is
// applied, or waits for a person only; or when a connector has failed or is held
// until a person acts, because then it never will (hazard A19): a held transform
// first lets everything before the hold be applied.
func (p *Pipeline) WaitCaughtUp(ctx context.Context, lsn schemas.LSN) (ledger.Progress, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		progress, err := p.CaughtUp(ctx, lsn)
		if err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "the ledger does not answer", "error", err)
		}
		if err == nil && progress.Done() {
			return progress, nil
		}
		if held := p.transform.Status().Held; held != nil && err == nil && progress.Waiting == 0 {
			return progress, held
		}
		if err := p.Failed(); err != nil {
			return progress, err
		}
		select {
		case <-ctx.Done():
			return progress, ctx.Err()
		case <-tick.C:
		}
	}
}

// WaitHeartbeat writes a heartbeat as soon as the source's connector has made its
// slot and runs: a position from before it would never be reached.
func (p *Pipeline) WaitHeartbeat(ctx context.Context) (schemas.LSN, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if st := p.source.Status(); st.Position.EndLSN > 0 {
			return p.Heartbeat(ctx)
		}
		if err := p.Failed(); err != nil {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
}

// ErrInterrupted says that a wait was ended by a signal.
var ErrInterrupted = errors.New("stopped before everything was applied")

// Await returns nil when ctx ends, and an error when every connector that could
// still do something has ended by itself: a held connector leaves the others
// draining, so that the slot and the topics go on moving.
func (p *Pipeline) Await(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	reported := map[string]bool{}
	for {
		running := 0
		for _, s := range p.connectors() {
			select {
			case <-s.Done():
				if !reported[s.name] {
					reported[s.name] = true
					p.log.ErrorContext(ctx, "a connector has failed; the others go on", "connector", s.name, "error", s.Err())
				}
			default:
				running++
			}
		}
		if running == 0 {
			return p.Failed()
		}
		select {
		case <-ctx.Done():
			return p.Failed()
		case <-tick.C:
		}
	}
}
