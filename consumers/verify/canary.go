package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch/hash"
)

// CanaryResult says whether the password of a canary is the one behind its hash. A
// class of hashes is converted by one rule, so one that authenticates speaks for its
// class; an id that is ours does not tell a rule that converts wrongly.
type CanaryResult struct {
	Organization string     `json:"organization"`
	Member       string     `json:"member"`
	Class        hash.Class `json:"hash_class"`
	// Outcome: authenticated, refused, or not_tried and Why.
	Outcome string `json:"outcome"`
	Why     string `json:"why,omitempty"`
}

// The outcomes of a canary.
const (
	canaryFine    = "authenticated"
	canaryRefused = "refused"
	canaryUntried = "not_tried"
)

func (v *Verifier) canaries(ctx context.Context, run *ledger.Verification) ([]CanaryResult, error) {
	var results []CanaryResult
	for _, c := range v.cfg.Canaries {
		r := CanaryResult{Organization: c.Organization, Member: c.Member, Class: hash.Unknown, Outcome: canaryUntried}
		if err := v.canary(ctx, run, c, &r); err != nil {
			return nil, fmt.Errorf("authenticate a canary: %w", err)
		}
		results = append(results, r)
	}
	return results, nil
}

func (v *Verifier) canary(ctx context.Context, run *ledger.Verification, c Canary, r *CanaryResult) error {
	key := consumers.Key{Kind: consumers.Member, Organization: c.Organization, Entity: c.Member}
	e, err := run.Expect(ctx, key)
	if err != nil {
		return err
	}
	if e != nil {
		r.Class = classOf(text(e.Desired["password_hash"]))
	}
	switch {
	case e == nil || e.Desired == nil:
		r.Why = "the mapping returns no such member"
	case !e.Settled || e.Released:
		r.Why = "the member is not applied past its last change, or released"
	case e.PasswordID == "":
		r.Why = "no password of ours is set"
	}
	if r.Why != "" {
		return nil
	}
	var fine bool
	_, err = v.read(ctx, func(ctx context.Context) (err error) {
		fine, err = v.client.AuthenticatePassword(ctx, e.OrganizationID, text(e.Desired["email_address"]), c.Password)
		return err
	})
	if err != nil {
		return err
	}
	if r.Outcome = canaryFine; fine {
		return nil
	}
	r.Outcome = canaryRefused
	return v.refused(ctx, run, e, r)
}

// refused makes a canary's member a finding, where it is none yet. Its id may well be
// ours: then what we migrated is not what the legacy system had.
func (v *Verifier) refused(ctx context.Context, run *ledger.Verification, e *ledger.Expectation, r *CanaryResult) error {
	o, err := v.get(ctx, consumers.Member, e.OrganizationID, e.StytchID)
	if err != nil {
		return err
	}
	d := v.judge(e, o)
	if d.class.Drift() || d.class.Open() {
		return nil
	}
	f := ledger.Finding{
		Key: e.Key, StytchID: e.StytchID, Class: string(Different), Fields: []string{"password"}, Confirmed: true,
		Why: "a canary of class " + string(r.Class) + " does not authenticate",
	}
	there, err := run.Has(ctx, f) // an interrupted run tries its canaries again
	if err != nil || there {
		return err
	}
	run.Tally.Classes[string(d.class)]--
	return run.Replace(ctx, f, &f)
}

func classOf(legacy string) hash.Class {
	c, err := hash.Convert(legacy, hash.Options{})
	var unsupported *hash.Unsupported
	if errors.As(err, &unsupported) {
		return unsupported.Class
	}
	return c.Class
}
