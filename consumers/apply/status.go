package apply

import (
	"context"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

// Status is what a status page shows of this instance.
type Status struct {
	// State is RUNNING, UNASSIGNED, HELD, STOPPED or FAILED.
	State      string          `json:"state"`
	Partitions map[int32]int64 `json:"partitions"` // owned, with their lease's term
	Queued     int             `json:"queued"`     // turns that wait in memory
	InFlight   int             `json:"in_flight"`  // turns that run
	RateLimit  float64         `json:"rate_limit"` // requests per second, all instances
	// Calls since the start, by step and outcome.
	Calls map[string]map[string]int64 `json:"calls"`
	// Error is how the connector failed, "" if it has not.
	Error string `json:"error,omitempty"`
}

// Status is this instance's own view, without asking the ledger; ledger.Summarize
// counts deferred, parked and the rest.
func (a *Apply) Status() Status {
	now := a.current.Load()
	s := Status{Partitions: now.sched.owned(), RateLimit: a.cfg.RateLimit, Calls: a.metrics.snapshot()}
	s.State, _ = now.state.Load().(string)
	if s.State == "RUNNING" && len(s.Partitions) == 0 {
		s.State = "UNASSIGNED"
	}
	s.Queued, s.InFlight = now.sched.waiting()
	if h := now.held.Load(); h != nil {
		s.State, s.Error = "HELD", h.Error()
	}
	if err := a.Err(); err != nil {
		s.State, s.Error = "FAILED", err.Error()
	}
	return s
}

// Counts are the entities that are not current, from the ledger.
func (a *Apply) Counts(ctx context.Context) (map[consumers.Status]int64, error) {
	s, err := ledger.Summarize(ctx, a.pool)
	if err != nil {
		return nil, err
	}
	out := map[consumers.Status]int64{}
	for _, c := range s.Counts {
		out[c.Status] += c.Count
	}
	return out, nil
}
