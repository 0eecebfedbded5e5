package rehearse

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/rehearsal"
	"github.com/backstitch/backstitch/pipeline/rehearsal/report"
)

const (
	// countFor bounds each query over the mirror.
	countFor = 10 * time.Minute
	// migrateRate is Stytch's limit of passwords/migrate, in calls a second.
	migrateRate = 100
)

// gather fills the report from the ledger, the mirror and the simulator.
func (w *world) gather(ctx context.Context, o *Options, p *pipeline.Pipeline, roles *rehearsal.Roles, r *report.Report) error {
	var states *report.States
	if o.States != "" {
		var err error
		if states, err = report.CreateStates(o.States, o.Former); err != nil {
			return err
		}
		defer states.Discard()
	}
	if err := rehearsal.Gather(ctx, o.Config, p.Ledger(), roles, r, states); err != nil {
		return err
	}
	if states != nil {
		if err := states.Close(); err != nil {
			return err
		}
	}
	w.estimate(o, r)
	if t := p.Incident(); t != "" {
		r.Run.Notices = append(r.Run.Notices, fmt.Sprintf("More than 20 of 100 calls in a row ended in %s: there the real run stops and asks (backstitch approve); the rehearsal went on, to see the rest.", t))
	}
	if r.Run.Interrupted != "" {
		return nil // the mirror may not hold everything yet
	}
	return leftOut(ctx, o, p, r)
}

// leftOut counts what no entity is made of.
func leftOut(ctx context.Context, o *Options, p *pipeline.Pipeline, r *report.Report) error {
	left, err := p.FindLeftOut(ctx, countFor, report.Samples)
	if err != nil {
		return err
	}
	for _, u := range left.Unfed {
		r.Unfed = append(r.Unfed, report.Unfed{Table: u.Table, Rows: u.Rows, Keys: u.Keys})
	}
	for kind, n := range left.NullKey {
		if n > 0 {
			f := r.Finding(report.NullKey, kind)
			f.Count, f.Where = n, o.Config.Where(string(kind)+"s.select")
		}
	}
	if left.NoOrganization > 0 {
		f := r.Finding(report.NoOrganization, consumers.Member)
		f.Count, f.Where = left.NoOrganization, o.Config.Where("members.select")
		for _, k := range left.Homeless {
			f.Samples = append(f.Samples, report.NewSample(k, "", ""))
		}
	}
	for _, d := range left.Dangling {
		name := fmt.Sprintf("%s.%s: not in %s", d.Table, d.Column, d.Target)
		f := r.Finding(report.Dangling, "")
		f.Count += d.Rows
		f.Details = append(f.Details, report.Detail{Name: name, Count: d.Rows})
		for _, key := range d.Keys[:min(len(d.Keys), report.Samples-len(f.Samples))] {
			f.Samples = append(f.Samples, report.Sample{Table: d.Table, Key: key, Detail: name})
		}
	}
	r.Run.Notices = append(r.Run.Notices, left.Uncounted...)
	return nil
}

// estimate says how long the calls of the real run take.
func (w *world) estimate(o *Options, r *report.Report) {
	r.Calls = w.calls()
	all := report.Limit{Name: "stytch.rate_limit", Rate: float64(o.Config.Stytch.RateLimit)}
	migrate := report.Limit{Name: "passwords/migrate", Rate: migrateRate}
	for _, c := range r.Calls {
		all.Calls += c.Count
		if c.Endpoint == "POST /v1/b2b/passwords/migrate" {
			migrate.Calls = c.Count - c.Throttled
		}
	}
	r.Estimate = report.Estimate{Limits: []report.Limit{all, migrate}, Simulated: w.clock.Elapsed().Seconds()}
}
