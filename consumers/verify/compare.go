package verify

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

// compare judges what was read of a kind. What a search says is right is counted;
// what it says is wrong is a finding to be confirmed.
func (v *Verifier) compare(ctx context.Context, run *ledger.Verification, kind consumers.Kind, keys []string) error {
	err := run.Compare(ctx, kind, keys, ledger.Comparison{
		Entity: func(e *ledger.Expectation) *ledger.Finding {
			if e.Desired != nil {
				run.Tally.Kinds[string(kind)]++
			}
			d := v.judge(e, decode(kind, e.Seen))
			return v.count(run, e, d, d.class == Unverifiable && !e.Settled)
		},
		Extra: func(ctx context.Context, x ledger.Extra) (*ledger.Finding, error) { return v.extra(ctx, run, x) },
	})
	if err == nil && kind == consumers.Organization {
		v.tell("organizations are compared")
	}
	return err
}

// decode reads an object that the ledger keeps; nil: none was seen. Numbers keep
// their digits.
func decode(kind consumers.Kind, raw []byte) *object {
	if raw == nil {
		return nil
	}
	var o object
	into := any(&o.member)
	if kind == consumers.Organization {
		into = &o.organization
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(into) != nil { // it was written by us from the same type
		return nil
	}
	return &o
}

// extra judges an object that no entity has by its id.
func (v *Verifier) extra(ctx context.Context, run *ledger.Verification, x ledger.Extra) (*ledger.Finding, error) {
	f := &ledger.Finding{
		Key: consumers.Key{Kind: x.Kind}, StytchID: x.StytchID, Class: string(Extra), Why: foreignObject,
	}
	if x.Kind == consumers.Member {
		f.Key.Organization = x.OrganizationKey
	}
	key, ours := v.prefixes.key(x.Kind, x.ExternalID)
	if !ours {
		return v.foreign(run, f), nil
	}
	whole := consumers.Key{Kind: x.Kind, Organization: key, Entity: key}
	if x.Kind == consumers.Member {
		whole.Organization = x.OrganizationKey
	}
	e, err := run.Expect(ctx, whole)
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		return v.foreign(run, f), nil
	case !e.Settled || e.Released: // it is a finding of its own, or none
		return nil, nil
	}
	f.Key = whole
	switch {
	case e.Desired == nil:
		f.Why = "it should be deleted"
	case e.Seen != nil:
		f.Class, f.Why = string(Duplicate), "another object stands for the entity"
	default:
		f.Class, f.Fields, f.Why = string(ForeignChange), []string{idField(x.Kind)}, "the object that we made is gone, and another one has its external id"
	}
	return f, nil
}

// foreign is an object that others made: drift, unless they may.
func (v *Verifier) foreign(run *ledger.Verification, f *ledger.Finding) *ledger.Finding {
	if v.cfg.AllowForeign {
		run.Tally.Foreign++
		return nil
	}
	return f
}

func idField(k consumers.Kind) string {
	if k == consumers.Organization {
		return "organization_id"
	}
	return "member_id"
}
