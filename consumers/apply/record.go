package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// settling is how long a call whose outcome is unknown is left alone from now on:
// no less than what its mark says.
func (a *Apply) settling() time.Duration { return a.cfg.CallTimeout + a.cfg.Settle }

// send makes a marked call. Its connection refuses to write after the deadline
// (hazard A2).
func (tn *turn) send(ctx context.Context, c call, deadline time.Time) (*verdict, error) {
	callCtx, cancel := context.WithTimeout(stytch.WithWriteDeadline(ctx, deadline), tn.cfg.CallTimeout)
	defer cancel()
	start := tn.clock()
	a, err := invoke(callCtx, tn.client, tn.s, c)
	m := classify(err)
	tn.metrics.call(c.step, m.outcome)
	tn.metrics.seconds(c.step, tn.clock().Sub(start))
	tn.called(c.step, m, err, start)
	refused := ""
	if m.outcome == outcomeRefused && tn.s.state.Status != consumers.Parked && !rescues(c.step) && stytch.ErrorType(err) != "cross_org_passwords_enabled" {
		refused = stytch.ErrorType(err)
	}
	failed := tn.incident(ctx, refused)
	v, cerr := tn.consequence(ctx, c, a, m, err)
	return v, errors.Join(cerr, failed)
}

// finish records how the turn ends.
func (tn *turn) finish(ctx context.Context, v *verdict) error {
	if v.status == consumers.Parked && (tn.incidents.tripped() || tn.Apply.held.Load() != nil) { // hazard A13
		v = deferred(consumers.ReasonHeld, 0)
	}
	tn.ended(v)
	if err := tn.record(ctx, v); err != nil {
		return err
	}
	tn.metrics.turn(tn.task.lane, v.status, v.reason)
	// what was applied before the turn, as a forced replay finds most entities, is no fresher for it
	if st := tn.s.state; v.status == consumers.Current && st.Status != consumers.Current && st.Committed != nil {
		tn.metrics.latency(tn.task.lane, tn.clock().Sub(*st.Committed))
	}
	return nil
}

// record commits what is known now. A mark whose outcome is unknown stands.
func (tn *turn) record(ctx context.Context, v *verdict) error {
	st := tn.s.state
	r := ledger.Record{
		Key: st.Key, Partition: tn.task.partition, Term: tn.task.term, Revision: st.Revision,
		Applied: st.Applied, OrganizationID: st.OrganizationID, StytchID: st.StytchID, PasswordID: st.PasswordID,
		HashDigest: st.HashDigest, Adopted: st.Adopted, Losses: st.Losses,
		Status: v.status, Reason: v.reason, Detail: v.detail, Attempts: st.Attempts, Waits: v.waits,
		ReadWanted: st.ReadWanted || tn.second, Unmark: tn.unmark && !v.unknown, EndMembers: tn.endMembers,
		WakeMembers: tn.wakeMembers, RetryMembers: tn.retryMembers, Events: tn.events,
	}
	switch {
	case v.hasDue:
		r.Due = &v.due
	case tn.second:
		again := tn.settling()
		r.Due = &again // hazard A3
	}
	if v.retry {
		r.Attempts++
	} else if v.status == consumers.Current {
		r.Attempts = 0
	}
	switch {
	case v.consent != 0:
		r.ConsentID = v.consent
	case v.status != consumers.Current:
		r.ConsentID = st.ConsentID
	}
	if st.Key.Kind == consumers.Organization {
		// Those that wait for it may go on, or are blocked from now on (hazard A23).
		r.WakeMembers = r.WakeMembers || v.status != consumers.Pending && v.status != consumers.Deferred
	} else {
		r.WakeMembers = false
	}
	keep := tn.digest.applied(st)
	if !v.unknown && st.Mark == nil && !sameClaims(tn.held, keep) { // in doubt it may hold both
		r.Reclaim, r.Keep = true, keep
	}
	ok, err := tn.records.do(ctx, r)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("record: %w", errLost)
	}
	if r.Unmark {
		tn.unmark = false
	}
	if r.Reclaim {
		tn.held = keep
	}
	tn.wakeMembers, tn.endMembers, tn.retryMembers, tn.events = false, false, false, nil
	return nil
}
