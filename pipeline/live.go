package pipeline

import (
	"context"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline/admin"
)

// lookAge is how old a look at the lag may be in a status: many viewers share one.
const lookAge = time.Second

// Status is what Observe sees, with what only this process knows of its connectors.
func (p *Pipeline) Status(ctx context.Context) admin.Status {
	s := observe(ctx, p.cfg, p.pool, p.lag.Latest(ctx, lookAge))
	now := ledger.Cluster{Now: s.Time}
	for i, c := range p.connectors {
		if s.Connectors[i].State == string(ledger.TargetPaused) || s.Connectors[i].State == string(ledger.TargetStopped) {
			continue
		}
		if now.Tasks = p.ownTasks(c, s.Time); working(now.Tasks) { // fresher than the last report
			own := admin.Connector{Name: c.name, State: taskUnassigned}
			show(&own, now)
			if len(s.Connectors[i].Tasks) > 0 {
				own.Tasks, own.Since = s.Connectors[i].Tasks, s.Connectors[i].Since
			}
			s.Connectors[i] = own
		}
	}
	if apply := p.apply.Load(); apply != nil {
		for _, outcomes := range apply.Status().Calls {
			for _, n := range outcomes {
				s.Apply.Calls += n
			}
		}
	}
	s.Apply.CallsPerSecond = p.calls.observe(s.Time, s.Apply.Calls)
	return s
}

// ownTasks are a connector's tasks in this instance, as they are reported.
func (p *Pipeline) ownTasks(c *connector, at time.Time) []ledger.Task {
	tasks := c.tasks()
	for i := range tasks {
		tasks[i].Instance, tasks[i].Since, tasks[i].SeenAt = p.instance.ID, at, at
	}
	return tasks
}

// working tells tasks from a stand-by's.
func working(tasks []ledger.Task) bool {
	for _, t := range tasks {
		if t.State != taskUnassigned {
			return true
		}
	}
	return false
}
