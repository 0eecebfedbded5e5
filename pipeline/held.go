package pipeline

import (
	"context"
	"time"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers/capture"
)

// settled is how long the transform must be held, while the source reads no table,
// until a wait takes it for a hold that does not resolve by itself: what the source
// has just read completes the rows that the transform waits for.
const settled = 2 * time.Second

// Failed returns the error of the first connector that has ended by itself, or else
// of the first that is held until a person acts; nil while all go on. The others run
// on beside it.
func (p *Pipeline) Failed() error {
	if err := first(p.connectors, (*connector).ended); err != nil {
		return err
	}
	return first(p.connectors, (*connector).failure)
}

func first(connectors []*connector, of func(*connector) error) error {
	for _, c := range connectors {
		if err := of(c); err != nil {
			return err
		}
	}
	return nil
}

// reporter logs what happens to connectors, each failure once. A hold is known by
// its fix: a reason may count what is still arriving.
type reporter struct {
	*Pipeline
	told map[string]string
}

func (p *Pipeline) reporter() *reporter { return &reporter{p, make(map[string]string)} }

func (r *reporter) look(ctx context.Context) {
	for _, c := range r.connectors {
		err := c.failure()
		if err == nil {
			if r.told[c.name] != "" {
				delete(r.told, c.name)
				r.log.InfoContext(ctx, "the connector goes on", "connector", c.name)
			}
			continue
		}
		what := err.Error()
		if held, ok := stage.AsHeld(err); ok {
			what = held.Fix
		}
		if r.told[c.name] == what {
			continue
		}
		r.told[c.name] = what
		r.log.ErrorContext(ctx, "a connector has failed; the others go on", "connector", c.name, "error", err)
	}
}

// holds tells a wait which hold ends it.
type holds struct {
	*Pipeline
	since time.Time // the transform is held, and the source reads no table
}

// final returns a hold that no connector resolves by itself.
func (h *holds) final(now time.Time) error {
	connectors := h.connectors
	if err := connectors[0].failure(); err != nil {
		return err
	}
	err := connectors[1].failure()
	if err == nil || h.reading() {
		h.since = time.Time{}
		return nil
	}
	if h.since.IsZero() {
		h.since = now
	}
	if now.Sub(h.since) < settled {
		return nil
	}
	return err
}

// reading reports whether the source reads tables that it has not finished, or has
// yet to look at what it was asked to read.
func (h *holds) reading() bool {
	source := h.source.Load()
	if source == nil {
		return false
	}
	st := source.Status()
	if st.State == capture.StateUnassigned || st.State == capture.StateRestarting {
		return true
	}
	for _, t := range st.Backfill {
		if !t.Done {
			return true
		}
	}
	return false
}
