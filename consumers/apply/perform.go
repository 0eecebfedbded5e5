package apply

import (
	"context"
	"strings"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// perform makes the first call of a plan: consent, budget, mark, call. nil means
// that the turn goes on from what is known now.
func (tn *turn) perform(ctx context.Context, p plan) (*verdict, error) {
	c, st := p.calls[0], tn.s.state
	tn.tellPlan(p)
	if c.sets == nil {
		if v, err := tn.consent(ctx); v != nil || err != nil {
			return v, err
		}
	}
	if err := tn.pay(ctx, len(p.calls)); err != nil { // the whole plan's, so that it does not stop half-way (hazard A7)
		return nil, err
	}
	if !tn.sched.holds(tn.task.partition, tn.task.term) {
		return nil, errLost
	}
	if tn.unmark { // an entity has one mark at a time
		if err := tn.record(ctx, &verdict{status: consumers.Pending, hasDue: true}); err != nil {
			return nil, err
		}
	}
	deadline := tn.clock().Add(tn.cfg.CallTimeout) // before the ledger's clock is asked: never later than what the mark says
	claims := tn.digest.claims(st.Key, func(f string) any { return c.sets[f] })
	m, err := tn.marks.do(ctx, ledger.MarkRequest{
		Key: st.Key, Partition: tn.task.partition, Term: tn.task.term, Revision: st.Revision,
		Step: c.step, Maybe: c.sets, Claims: claims,
	})
	switch {
	case err != nil:
		return nil, err
	case m.Lost:
		return nil, errLost
	case m.Incident:
		return deferred(consumers.ReasonHeld, 0), nil
	case m.Holder != nil:
		return tn.conflict(ctx, *m.Holder, m.Claim)
	case !m.Marked: // a call that this turn knows nothing of
		v := deferred(consumers.ReasonSettling, tn.settling())
		v.unknown = true
		return v, nil
	}
	for _, claim := range claims {
		if !contains(tn.held, claim) {
			tn.held = append(tn.held, claim)
		}
	}
	return tn.send(ctx, c, deadline)
}

// consequence makes an answer part of what is known.
func (tn *turn) consequence(ctx context.Context, c call, a answer, m meaning, err error) (*verdict, error) {
	s := tn.s
	tn.error = stytch.ErrorType(err)
	if m.outcome == outcomeUnknown {
		v := deferred(consumers.ReasonSettling, tn.settling())
		v.unknown, v.detail = true, tn.error
		return v, nil
	}
	tn.unmark = true
	switch {
	case c.step == stepDeletePassword && tn.error == "cross_org_passwords_enabled":
		return tn.keepPassword(c)
	case rescues(c.step) && (m.outcome == outcomeRefused || m.outcome == outcomeMissing || m.outcome == outcomeDuplicate),
		c.step == stepFreeOrganization && m.outcome == outcomeNoParent:
		return tn.taken(ctx, tn.error)
	}
	switch m.outcome {
	case outcomeOK:
		return tn.success(c, a)
	case outcomeMissing, outcomeNoParent:
		return tn.absent(ctx, c, m)
	case outcomeDuplicate:
		if c.creates {
			return tn.adoptExisting(ctx, tn.error)
		}
		return parked(consumers.ReasonForeignObject, tn.error), nil
	case outcomePassword:
		if c.creates {
			return tn.adoptExisting(ctx, tn.error)
		}
		s.read = nil // whose it is, a fresh read tells (hazard A8)
		return nil, nil
	case outcomeRefused:
		return tn.refused(c, m)
	default:
		return tn.failed(ctx, m, err)
	}
}

// success takes what a call did, and takes back a password that it gave to
// somebody else's member (hazard A24).
func (tn *turn) success(c call, a answer) (*verdict, error) {
	s := tn.s
	if c.step == stepMigratePassword && a.created != c.creates {
		ours := a.read.values[fieldExternal] == s.external
		switch {
		case c.creates && !ours:
			s.state.Applied[fieldTakeBack] = ledger.Value{V: a.read.passwordID}
			s.refusal = consumers.ReasonForeignObject
			return nil, nil
		case !c.creates:
			return parked(consumers.ReasonForeignChange, "member_created"), nil
		}
	}
	switch c.step {
	case stepReactivateMember:
		s.adopt(a.read)
		return nil, nil
	case stepFreeMember, stepFreeOrganization:
		s.freed = true
		return nil, nil
	}
	s.took(c, a)
	tn.temp = nil
	if s.state.Key.Kind == consumers.Organization {
		tn.wakeMembers = tn.wakeMembers || c.creates
		tn.endMembers = tn.endMembers || c.sets == nil
		tn.retryMembers = tn.retryMembers || c.step == stepUpdateOrganization
	}
	return nil, nil
}

// keepPassword learns that no password of this project can be deleted; the plan
// that follows names the loss.
func (tn *turn) keepPassword(c call) (*verdict, error) {
	if !tn.shared.Swap(true) {
		tn.log.Warn("the project shares passwords between organizations: a changed hash is a named loss", "loss", consumers.LossCrossOrgPassword)
	}
	tn.s.shared = true
	if _, back := c.sets[fieldTakeBack]; back { // it stays with the member that is not ours
		delete(tn.s.state.Applied, fieldTakeBack)
		tn.s.refusal = consumers.ReasonForeignObject
	}
	return nil, nil
}

// absent: what the call was about is not there.
func (tn *turn) absent(ctx context.Context, c call, m meaning) (*verdict, error) {
	st := tn.s.state
	parent := m.outcome == outcomeNoParent && st.Key.Kind == consumers.Member
	switch {
	case c.sets == nil:
		tn.gone()
		return nil, nil
	case parent: // gone behind our back
		lease := ledger.Lease{Partition: tn.task.partition, Term: tn.task.term}
		if err := tn.ledger.NoteMissing(ctx, st.Key.Organization, tn.s.organizationID, lease); err != nil {
			return nil, err
		}
		return deferred(consumers.ReasonOrganization, 5*time.Second), nil
	case c.step == stepDeletePassword && tn.error == "member_password_not_found":
		tn.s.took(c, answer{})
		return nil, nil
	}
	return parked(consumers.ReasonMissing, tn.error), nil
}

// refused: a hash that Stytch does not take is a loss of a new member, and of an
// existing one a reason to put the former hash back (hazard A7); all else parks.
func (tn *turn) refused(c call, m meaning) (*verdict, error) {
	s := tn.s
	if c.step != stepMigratePassword || !aboutHash(tn.error) {
		return parked(m.reason, tn.error), nil
	}
	if s.state.StytchID == "" {
		s.pass = password{hash: s.pass.hash, loss: consumers.LossHashFormat, digest: tn.digest.of("hash", s.pass.hash, string(consumers.LossHashFormat))}
		return nil, nil
	}
	if c.restores {
		s.kept = password{} // it was taken once and is not any more
	}
	s.refusal = m.reason
	return nil, nil
}

// aboutHash tells the error types of hashes from those of the other fields.
func aboutHash(errorType string) bool {
	for _, part := range []string{"hash", "bcrypt", "argon_2", "scrypt", "pbkdf_2", "md_5", "sha_1", "sha_512", "phpass", "salt"} {
		if strings.Contains(errorType, part) {
			return true
		}
	}
	return false
}
