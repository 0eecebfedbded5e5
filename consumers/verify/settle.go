package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

// openPage is how many findings are in memory at once (invariant 9).
const openPage = 500

// settle looks at every open finding again until each is confirmed or gone, or the
// time is over. What is left then says pending.
func (v *Verifier) settle(ctx context.Context, run *ledger.Verification) error {
	v.tell("everything is compared; what differs or is on its way is looked at again")
	deadline := time.Now().Add(v.cfg.Timeout)
	for round := 0; ; round++ {
		left, err := v.again(ctx, run, deadline)
		if err != nil || left == 0 || time.Now().After(deadline) {
			return err
		}
		wait := min(500*time.Millisecond<<min(round, 5), 15*time.Second, time.Until(deadline))
		if err := rest(ctx, wait); err != nil {
			return err
		}
	}
}

// again goes through the open findings once, and says how many stay open.
func (v *Verifier) again(ctx context.Context, run *ledger.Verification, deadline time.Time) (left int, err error) {
	var last *ledger.Finding
	for {
		page, err := run.Open(ctx, last, openPage)
		if err != nil || len(page) == 0 {
			return left, err
		}
		for _, f := range page {
			if time.Now().After(deadline) {
				return left + 1, nil
			}
			now, err := v.look(ctx, run, f)
			if err != nil {
				return left, err
			}
			if now != nil && !now.Confirmed {
				left++
			}
			if err := run.Replace(ctx, f, now); err != nil {
				return left, err
			}
		}
		last = &page[len(page)-1]
	}
}

// look judges a finding by a fresh read of the object, between two looks at the
// ledger that must say the same. nil: it is as it should be.
func (v *Verifier) look(ctx context.Context, run *ledger.Verification, f ledger.Finding) (*ledger.Finding, error) {
	if f.Key.Entity == "" || Class(f.Class) == Duplicate {
		return v.lookObject(ctx, run, f)
	}
	before, err := run.Expect(ctx, f.Key)
	if err != nil || before == nil {
		return nil, err
	}
	if !before.Settled || before.Released {
		d := v.judge(before, nil)
		return v.count(run, before, d, d.class != Pending), nil
	}
	o, err := v.fetch(ctx, run, before, f)
	if err != nil {
		return nil, err
	}
	after, err := run.Expect(ctx, f.Key)
	if err != nil || after == nil {
		return nil, err
	}
	if after.Version != before.Version {
		return &ledger.Finding{Key: f.Key, Class: string(Pending), Why: "it changed while it was read"}, nil
	}
	if o != nil && after.Desired != nil && o.id() != after.StytchID {
		return &ledger.Finding{
			Key: f.Key, StytchID: o.id(), Class: string(ForeignChange), Fields: []string{idField(f.Key.Kind)},
			Why: "the object that we made is gone, and another one has its external id", Confirmed: true,
		}, nil
	}
	now := v.count(run, after, v.judge(after, o), true)
	if now != nil && o != nil {
		now.StytchID = o.id()
	}
	return now, nil
}

// fetch reads the object of an entity: by the id that the ledger has, else by the one
// that was seen, else by its external id.
func (v *Verifier) fetch(ctx context.Context, run *ledger.Verification, e *ledger.Expectation, f ledger.Finding) (*object, error) {
	var tried []string
	for _, id := range []string{e.StytchID, f.StytchID, v.prefixes.expected(e)} {
		if id == "" || len(tried) > 0 && tried[len(tried)-1] == id {
			continue
		}
		tried = append(tried, id)
		o, err := v.get(ctx, run, e.Key.Kind, e.OrganizationID, id)
		if err != nil {
			return nil, err
		}
		if o != nil && (o.id() == id || v.prefixes.carries(o.externalID(), e.Key)) { // hazard A14
			return o, nil
		}
	}
	return nil, nil
}

func (v *Verifier) get(ctx context.Context, run *ledger.Verification, kind consumers.Kind, organization, id string) (*object, error) {
	var o object
	if kind == consumers.Member && organization == "" {
		return nil, nil
	}
	there, err := v.read(ctx, run, func(ctx context.Context) (err error) {
		if kind == consumers.Organization {
			o.organization, err = v.client.GetOrganization(ctx, id)
		} else {
			o.member, err = v.client.GetMember(ctx, organization, id)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read a %s again: %w", kind, err)
	}
	if !there {
		return nil, nil
	}
	return &o, nil
}

// lookObject judges an object that stands for no entity, or for one that has another.
func (v *Verifier) lookObject(ctx context.Context, run *ledger.Verification, f ledger.Finding) (*ledger.Finding, error) {
	known, err := run.ExpectID(ctx, f.Key.Kind, f.Key.Organization, f.StytchID)
	if err != nil || known != nil { // recorded meanwhile
		return nil, err
	}
	organization := ""
	if f.Key.Kind == consumers.Member {
		parent, err := run.Expect(ctx, consumers.Key{Kind: consumers.Organization, Organization: f.Key.Organization, Entity: f.Key.Organization})
		if err != nil || parent == nil {
			return nil, err
		}
		organization = parent.StytchID
	}
	o, err := v.get(ctx, run, f.Key.Kind, organization, f.StytchID)
	if err != nil || o == nil {
		return nil, err
	}
	f.Confirmed = true
	return &f, nil
}
