package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/schemas"
)

// pollEvery is how often a wait looks at the ledger again.
const pollEvery = 200 * time.Millisecond

// WaitCaughtUp returns when everything that the source committed at or below lsn is
// applied, or waits for a person only; or when a connector has failed or is held
// until a person acts, because then it never will (hazard A19): what stands before
// the hold is applied first.
func (p *Pipeline) WaitCaughtUp(ctx context.Context, lsn schemas.LSN) (ledger.Progress, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	report, holds := p.reporter(), &holds{Pipeline: p}
	for {
		if err := p.fatal(); err != nil {
			return ledger.Progress{}, err
		}
		report.look(ctx)
		progress, err := p.CaughtUp(ctx, lsn)
		if err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "the ledger does not answer", "error", err)
		}
		if err == nil && progress.Done() {
			return progress, nil
		}
		if held := holds.final(time.Now()); held != nil && err == nil && progress.Waiting == 0 {
			return progress, held
		}
		if err := first(p.connectors, (*connector).ended); err != nil {
			return progress, err
		}
		select {
		case <-ctx.Done():
			return progress, ctx.Err()
		case <-tick.C:
		}
	}
}

// WaitHeartbeat writes a heartbeat as soon as the source has made its slot and runs,
// here or in another instance: a position from before it would never be reached. A
// held source never does; a held transform lets what stands before be applied.
func (p *Pipeline) WaitHeartbeat(ctx context.Context) (schemas.LSN, error) {
	err := p.awaitSource(ctx, func() (bool, error) {
		reads, err := p.sourceReads(ctx)
		if err != nil {
			p.log.WarnContext(ctx, "the last checkpoint cannot be read", "error", err)
		}
		return reads, nil
	})
	if err != nil {
		return 0, err
	}
	return p.Heartbeat(ctx)
}

// awaitSource returns when the source is there, or why it never will be.
func (p *Pipeline) awaitSource(ctx context.Context, there func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if ok, err := there(); ok || err != nil {
			return err
		}
		if err := p.connectors[0].failure(); err != nil {
			return err
		}
		if err := first(p.connectors, (*connector).ended); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// sourceReads reports whether a checkpoint stands in the topics that the source
// goes on from.
func (p *Pipeline) sourceReads(ctx context.Context) (bool, error) {
	source := p.source.Load()
	if source == nil {
		return false, nil
	}
	st := source.Status()
	if st.State != capture.StateStandby {
		return st.Position.EndLSN > 0, nil
	}
	checkpoint, err := capture.LastCheckpoint(ctx, p.clients.Kafka, p.cfg.Kafka.Topics.Prefix)
	return checkpoint != nil && checkpoint.Position.EndLSN > 0, err
}

// ErrInterrupted says that a wait was ended by a signal.
var ErrInterrupted = errors.New("stopped before everything was applied")

// Await returns nil when ctx ends, and an error when every connector that could
// still do something has ended by itself. A connector that failed or is held is
// logged once and leaves the others draining, so that the slot and the topics go on
// moving; it is the error when ctx ends.
func (p *Pipeline) Await(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	report := p.reporter()
	for {
		report.look(ctx)
		if err := p.fatal(); err != nil {
			return err
		}
		running := 0
		for _, c := range p.connectors {
			if c.ended() == nil {
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
