package demo

import (
	"context"
	"errors"
	"net/http"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// vandalised is how many members vanish in Stytch behind the pipeline's back.
const vandalised = 100

// replay deletes members in Stytch, goes through the apply topics again with a
// fresh read of each, and compares.
func (d *demo) replay(ctx context.Context) error {
	n, err := d.vandalise()
	if err != nil {
		return err
	}
	d.say("• deleted %d members in Stytch behind the pipeline's back; replaying the apply topics with a read of each", n)
	if err := d.forceReplay(ctx); err != nil {
		return err
	}
	before := d.world.simulator.Counts()
	p, err := d.start(ctx, false)
	if err != nil {
		return err
	}
	err = d.await(ctx, p)
	if err == nil {
		after := d.world.simulator.Counts()
		done := func(e stytch.Endpoint) int { return after[e][http.StatusOK] - before[e][http.StatusOK] }
		d.say("• Stytch showed %d entities and created %d members again", done(stytch.MembersGet)+done(stytch.OrganizationsGet),
			done(stytch.MembersCreate)+done(stytch.PasswordsMigrate))
		err = d.compare(ctx, p)
	}
	return errors.Join(err, d.stop(ctx, p))
}

func (d *demo) vandalise() (int, error) {
	deleted := 0
	for o := range d.world.simulator.Dump() {
		for _, m := range o.Members {
			if deleted == vandalised {
				return deleted, nil
			}
			if o.Deleted || m.Member.Status == stytch.StatusDeleted {
				continue
			}
			if err := d.world.simulator.Behind().DeleteMember(m.Member.MemberID); err != nil {
				return deleted, err
			}
			deleted++
		}
	}
	return deleted, nil
}

func (d *demo) forceReplay(ctx context.Context) error {
	clients, err := pipeline.NewClients(d.cfg)
	if err != nil {
		return err
	}
	pool, err := ledger.Open(ctx, d.cfg.Ledger.Reveal(), d.cfg.Name+"-replay")
	if err != nil {
		return err
	}
	defer pool.Close()
	r, err := pipeline.PlanReplay(ctx, d.cfg, clients, pool, pipeline.ReplaySpec{
		ReplayFrom: pipeline.ReplayFrom{Earliest: true}, Force: true, Command: "demo", By: "demo",
	})
	if err != nil {
		return err
	}
	defer r.Close()
	d.say("• %d entities to read back, one call each", r.Reads)
	_, err = r.Run(ctx)
	return err
}

// await returns when all that the replay woke is settled.
func (d *demo) await(ctx context.Context, p *pipeline.Pipeline) error {
	lsn, err := p.WaitHeartbeat(ctx)
	if err != nil {
		return err
	}
	return d.drain(ctx, p, newDisplay(d.Out), &Workload{}, func(s admin.Status) (bool, error) {
		progress, err := p.CaughtUp(ctx, lsn)
		return progress.Done() && drained(s, d.cfg.Name+"-apply"), err
	})
}
