package verify

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
)

// Repair is what --repair has asked the applier for.
type Repair struct {
	// Reads: entities whose next turn is now and begins with a fresh read. What is
	// missing is made again, what is different is written again; an address, a phone or
	// a password that somebody else has changed is parked, or named a loss (invariant 12).
	Reads int64 `json:"fresh_reads"`
	// Deletes of objects that should be gone: they wait for `backstitch approve`.
	Deletes int64 `json:"deletes_to_approve"`
	// Left are findings about which the applier can do nothing: duplicates, and what
	// others made.
	Left int64 `json:"left_to_a_person"`
}

// repair re-enqueues what is confirmed through the ordinary applier.
func (v *Verifier) repair(ctx context.Context, run *ledger.Verification) (*Repair, error) {
	selection, err := ledger.NewSelection(ctx, v.pool)
	if err != nil {
		return nil, err
	}
	defer selection.Close()
	r := &Repair{}
	var last *ledger.Finding
	for {
		page, err := run.Confirmed(ctx, last, openPage)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		var keys []consumers.Key
		for _, f := range page {
			switch {
			case !Class(f.Class).Drift():
			case f.Key.Entity == "" || Class(f.Class) == Duplicate:
				r.Left++
			case Class(f.Class) == Extra:
				if err := v.takeBack(ctx, run, f, r); err != nil {
					return nil, err
				}
			default:
				keys = append(keys, f.Key)
			}
		}
		if err := selection.Add(ctx, keys); err != nil {
			return nil, err
		}
		last = &page[len(page)-1]
	}
	if _, err := selection.Count(ctx); err != nil {
		return nil, err
	}
	if r.Reads, err = selection.WantReads(ctx, true); err != nil {
		return nil, err
	}
	return r, nil
}

func (v *Verifier) takeBack(ctx context.Context, run *ledger.Verification, f ledger.Finding, r *Repair) error {
	e, err := run.Expect(ctx, f.Key)
	if err != nil || e == nil {
		return err
	}
	o, err := v.get(ctx, f.Key.Kind, e.OrganizationID, f.StytchID)
	if err != nil {
		return err
	}
	if o == nil {
		return nil // gone by now
	}
	back := ledger.Returned{Key: f.Key, StytchID: o.id()}
	if o.member != nil {
		back.OrganizationID, back.Email = o.member.OrganizationID, o.member.EmailAddress
	}
	ok, err := ledger.TakeBack(ctx, v.pool, back)
	switch {
	case err != nil:
		return fmt.Errorf("repair %s: %w", redact.Key(f.Key.Organization, f.Key.Entity), err)
	case ok:
		r.Deletes++
	default:
		r.Left++
	}
	return nil
}
