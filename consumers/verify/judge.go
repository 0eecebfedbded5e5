package verify

import (
	"slices"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
)

// verdict is what is said of one entity.
type verdict struct {
	class  Class
	fields []string
	why    string
}

// guarded are the fields that the applier does not overwrite when somebody else has
// changed them (invariant 12).
var guarded = []string{"email_address", "mfa_phone_number"}

// none is the verdict on an entity that should not exist, and does not.
var none = verdict{}

// judge says how an entity stands. o is nil where Stytch has no such object.
func (v *Verifier) judge(e *ledger.Expectation, o *object) verdict {
	switch {
	case e.Released:
		return verdict{class: Released}
	case e.Status == consumers.Parked && e.Reason == consumers.ReasonForeignChange:
		return verdict{class: ForeignChange, why: "parked: " + string(e.Reason)}
	case e.Status == consumers.Parked && e.Reason == consumers.ReasonMissing && o == nil:
		return verdict{class: Missing, why: "parked: " + string(e.Reason)}
	case !e.Settled && waitsForPerson(e.Status):
		return verdict{class: Unverifiable, why: string(e.Status) + ": " + string(e.Reason)}
	case !e.Settled:
		return verdict{class: Pending, why: "not applied past its last change"}
	case e.Desired == nil && o == nil:
		return none
	case e.Desired == nil:
		return verdict{class: Extra, why: "it should be deleted"}
	case o == nil:
		return verdict{class: Missing}
	}
	return v.judgeObject(e, o)
}

func waitsForPerson(s consumers.Status) bool {
	return s == consumers.Parked || s == consumers.Blocked || s == consumers.AwaitingConsent || s == consumers.Dropped
}

func (v *Verifier) judgeObject(e *ledger.Expectation, o *object) verdict {
	fields := differing(e, o)
	foreign := slices.ContainsFunc(fields, func(f string) bool { return slices.Contains(guarded, f) })
	unknown := false
	if !v.prefixes.carries(o.externalID(), e.Key) {
		fields = append(fields, "external_id")
	}
	if o.member != nil {
		switch passwordOf(e, o.member, v.cfg.AssumeEmailsVerified) {
		case passwordWrong:
			fields = append(fields, "password")
		case passwordForeign:
			fields, foreign = append(fields, "password"), true
		case passwordUnknown:
			unknown = true
		case passwordFine:
		}
	}
	switch {
	case foreign:
		return verdict{class: ForeignChange, fields: fields}
	case len(fields) > 0:
		return verdict{class: Different, fields: fields}
	case unknown:
		return verdict{class: Unverifiable, fields: []string{"password"}, why: "the ledger has no member_password_id to compare with"}
	case len(e.Losses) > 0:
		return verdict{class: NamedLoss}
	}
	return verdict{class: Match}
}

// count notes a verdict in the run's tally, or makes it a finding. Only what an
// entity lacks is named, never what it holds (invariant 8).
func (v *Verifier) count(run *ledger.Verification, e *ledger.Expectation, d verdict, confirmed bool) *ledger.Finding {
	if d.class == none.class {
		return nil
	}
	if !d.class.Drift() && !d.class.Open() {
		run.Tally.Classes[string(d.class)]++
		if d.class == NamedLoss {
			for _, l := range e.Losses {
				run.Tally.Losses[string(l)]++
			}
		}
		return nil
	}
	f := &ledger.Finding{Key: e.Key, StytchID: e.StytchID, Class: string(d.class), Fields: d.fields, Why: d.why, Confirmed: confirmed}
	if d.class == Missing {
		f.StytchID = ""
	}
	return f
}
