package pipeline

import (
	"context"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/pipeline/admin"
)

// Status is what Observe sees, with what only this process knows of its connectors.
func (p *Pipeline) Status(ctx context.Context) admin.Status {
	s := Observe(ctx, p.cfg, p.clients, p.pool)
	source, transform, apply := p.source.Status(), p.transform.Status(), p.apply.Status()
	for i, state := range []string{string(source.State), string(transform.State), apply.State} {
		s.Connectors[i].State = state
	}
	for i, c := range p.connectors() {
		err := c.Err() // of one that was stopped too
		if err == nil && c.held() != nil {
			err = c.held()
		}
		if err != nil {
			_, held := stage.AsHeld(err)
			s.Connectors[i].State, s.Connectors[i].Trace, s.Connectors[i].Held = "FAILED", err.Error(), held
		}
	}
	for _, outcomes := range apply.Calls {
		for _, n := range outcomes {
			s.Apply.Calls += n
		}
	}
	s.Apply.CallsPerSecond = p.calls.observe(s.Time, s.Apply.Calls)
	waiting := s.Entities.Total(consumers.Pending) + s.Entities.Total(consumers.Deferred)
	if s.Apply.CallsPerSecond > 0 {
		s.Apply.ETASeconds = float64(waiting) / s.Apply.CallsPerSecond
	}
	return s
}
