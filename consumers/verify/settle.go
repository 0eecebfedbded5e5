package verify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

// sideBySide is how many objects are read at once: with answers of 100 ms, 320 a second.
const sideBySide = 32

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
		for some := range slices.Chunk(page, sideBySide) {
			if time.Now().After(deadline) {
				return left + 1, nil
			}
			open, err := v.lookAtSome(ctx, run, some)
			if left += open; err != nil {
				return left, err
			}
		}
		last = &page[len(page)-1]
	}
}

// lookAtSome looks at findings side by side, and then counts and keeps what each has
// become: an interruption leaves none counted that is not kept.
func (v *Verifier) lookAtSome(ctx context.Context, run *ledger.Verification, some []ledger.Finding) (open int, err error) {
	looks := make([]looked, len(some))
	group, within := errgroup.WithContext(ctx)
	for i, f := range some {
		group.Go(func() (err error) {
			looks[i], err = v.look(within, run, f)
			return err
		})
	}
	err = group.Wait()
	run.Tally.Reads += v.reads.Swap(0)
	if err != nil {
		return 0, err
	}
	for i, f := range some {
		now := looks[i].finding
		if e := looks[i].entity; e != nil {
			if now = v.count(run, e, looks[i].verdict, looks[i].confirmed); now != nil && looks[i].stytchID != "" {
				now.StytchID = looks[i].stytchID
			}
		}
		if now != nil && !now.Confirmed {
			open++
		}
		if err := run.Replace(ctx, f, now); err != nil {
			return open, err
		}
	}
	return open, nil
}

// looked is what a finding has become: another one, or an entity's verdict that is
// still to be counted. Neither: it is as it should be.
type looked struct {
	finding   *ledger.Finding
	entity    *ledger.Expectation
	verdict   verdict
	confirmed bool
	stytchID  string // of the object that was read
}

// look judges a finding by a fresh read of the object, between two looks at the
// ledger that must say the same.
func (v *Verifier) look(ctx context.Context, run *ledger.Verification, f ledger.Finding) (l looked, err error) {
	if f.Key.Entity == "" || Class(f.Class) == Duplicate {
		l.finding, err = v.lookObject(ctx, run, f)
		return l, err
	}
	before, err := run.Expect(ctx, f.Key)
	if err != nil || before == nil {
		return l, err
	}
	if !before.Settled || before.Released {
		d := v.judge(before, nil)
		return looked{entity: before, verdict: d, confirmed: d.class != Pending}, nil
	}
	o, err := v.fetch(ctx, before, f)
	if err != nil {
		return l, err
	}
	after, err := run.Expect(ctx, f.Key)
	if err != nil || after == nil {
		return l, err
	}
	if after.Version != before.Version {
		l.finding = &ledger.Finding{Key: f.Key, Class: string(Pending), Why: "it changed while it was read"}
		return l, nil
	}
	if o != nil && after.Desired != nil && o.id() != after.StytchID {
		l.finding = &ledger.Finding{
			Key: f.Key, StytchID: o.id(), Class: string(ForeignChange), Fields: []string{idField(f.Key.Kind)},
			Why: "the object that we made is gone, and another one has its external id", Confirmed: true,
		}
		return l, nil
	}
	l = looked{entity: after, verdict: v.judge(after, o), confirmed: true}
	if o != nil {
		l.stytchID = o.id()
	}
	return l, nil
}

// fetch reads the object of an entity: by the id that the ledger has, else by the one
// that was seen, else by its external id.
func (v *Verifier) fetch(ctx context.Context, e *ledger.Expectation, f ledger.Finding) (*object, error) {
	var tried []string
	for _, id := range []string{e.StytchID, f.StytchID, v.prefixes.expected(e)} {
		if id == "" || len(tried) > 0 && tried[len(tried)-1] == id {
			continue
		}
		tried = append(tried, id)
		o, err := v.get(ctx, e.Key.Kind, e.OrganizationID, id)
		if err != nil {
			return nil, err
		}
		if o != nil && (o.id() == id || v.prefixes.carries(o.externalID(), e.Key)) { // hazard A14
			return o, nil
		}
	}
	return nil, nil
}

func (v *Verifier) get(ctx context.Context, kind consumers.Kind, organization, id string) (*object, error) {
	var o object
	if kind == consumers.Member && organization == "" {
		return nil, nil
	}
	there, err := v.read(ctx, func(ctx context.Context) (err error) {
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
	o, err := v.get(ctx, f.Key.Kind, organization, f.StytchID)
	if err != nil || o == nil {
		return nil, err
	}
	f.Confirmed = true
	return &f, nil
}
