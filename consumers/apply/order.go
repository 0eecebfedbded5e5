package apply

import (
	"context"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// parentWait is how long a member waits for an organization that has not woken it.
const parentWait = time.Minute

// order says what an entity must wait for; nil: its turn goes on.
func (tn *turn) order() *verdict {
	st := tn.s.state
	switch {
	case st.Released || st.Parent != nil && st.Parent.Released:
		return &verdict{status: consumers.Released} // invariant 12
	case st.Mark != nil && st.Mark.Settle > 0: // own or foreign: nobody looks before (hazard A2)
		v := deferred(consumers.ReasonSettling, st.Mark.Settle)
		v.unknown = true
		return v
	case st.Key.Kind != consumers.Member:
		return nil
	case tn.s.organizationID == "" && st.Mark != nil:
		tn.resolved() // whatever it did went with the organization
	}
	return tn.orderMember()
}

// orderMember waits for the parent: it exists before its members (invariant 4),
// and takes them along when it goes (hazard A11).
func (tn *turn) orderMember() *verdict {
	st, p := tn.s.state, tn.s.state.Parent
	switch {
	case tn.s.want == nil && st.StytchID == "" && st.Mark == nil:
		return nil
	case p == nil:
		return deferred(consumers.ReasonOrganization, parentWait)
	case stuck(p) && (p.Gone || p.StytchID == "" || p.Reason == consumers.ReasonMissing):
		return &verdict{status: consumers.Blocked, reason: consumers.ReasonBlockedByOrganization, detail: string(p.Reason)} // hazard A23
	case p.Gone && p.StytchID != "" || p.StytchID == "":
		// promoted: it may lie deep in the backfill lane (hazard A6)
		key := consumers.Key{Kind: consumers.Organization, Organization: st.Key.Organization, Entity: st.Key.Organization}
		if p.Waiting {
			tn.sched.add(key, tn.task.partition, schemas.LaneLive, nil)
		}
		return deferred(consumers.ReasonOrganization, parentWait)
	}
	return nil
}

// stuck says whether an organization waits only for a person.
func stuck(p *ledger.Parent) bool {
	return !p.Waiting && (p.Status == consumers.Parked || p.Status == consumers.Dropped || p.Status == consumers.AwaitingConsent || p.Status == consumers.Blocked)
}

// conflict is the verdict on a value that another entity holds (hazard A4); nil
// when the turn goes on with a temporary one.
func (tn *turn) conflict(ctx context.Context, k consumers.Key, c ledger.Claim) (*verdict, error) {
	states, err := tn.ledger.Load(ctx, []consumers.Key{k})
	if err != nil {
		return nil, err
	}
	h := states[0]
	digest := redact.Key(k.Organization, k.Entity)
	if h == nil {
		return deferred(consumers.ReasonClaim, 5*time.Second), nil
	}
	wants, ok := tn.desiredClaim(h, c.Field)
	switch {
	case ok && sameClaim(wants, c): // keeps it
		v := parked(consumers.ReasonDuplicate, "held by "+digest)
		v.waits = []ledger.Claim{c}
		if c.Scope == "" { // its holder may be another instance's: nobody's wake-up is lost
			v.due, v.hasDue = 5*time.Minute, true
		}
		return v, nil
	case !wanted(h) && (h.Status == consumers.Parked || h.Status == consumers.Dropped || h.Status == consumers.AwaitingConsent || h.Status == consumers.Blocked):
		return &verdict{
			status: consumers.Blocked, reason: consumers.ReasonBlockedByHolder, detail: "held by " + digest,
			waits: []ledger.Claim{c}, due: 5 * time.Minute, hasDue: true,
		}, nil
	}
	first, err := tn.breaker(ctx, h, c.Field)
	if err != nil {
		return nil, err
	}
	if first != nil && first.Key == tn.s.state.Key {
		temp := tn.digest.temporary(first.Key, c.Field, tn.cfg.TemporaryEmailDomain)
		if temp == "" {
			v := parked(consumers.ReasonDuplicate, "exchanged with "+digest+"; set a temporary e-mail domain")
			v.waits = []ledger.Claim{c}
			return v, nil
		}
		tn.temp = map[string]any{c.Field: temp}
		return nil, nil
	}
	if first != nil {
		h = first
	}
	// the holder goes first
	if !tn.sched.add(h.Key, h.Partition, schemas.LaneLive, nil) {
		if err := tn.ledger.Nudge(ctx, h.Key); err != nil {
			return nil, err
		}
	}
	v := deferred(consumers.ReasonClaim, 20*time.Second)
	v.waits = []ledger.Claim{c}
	return v, nil
}

// desiredClaim is the claim that an entity will have when it is as desired.
func (a *Apply) desiredClaim(s *ledger.State, field string) (ledger.Claim, bool) {
	if s.Desired == nil || s.Parent != nil && s.Parent.Gone {
		return ledger.Claim{}, false
	}
	return a.digest.claim(s.Key, field, canonical(s.Key.Kind, s.Desired)[field])
}

// breaker follows who waits for whom from a holder on. When that leads back here,
// the entity of the cycle with the smallest key breaks it; nil: no cycle.
func (tn *turn) breaker(ctx context.Context, h *ledger.State, field string) (*ledger.State, error) {
	me := tn.s.state
	first := me
	for range 16 { // longer chains resolve from their end
		if h.Key == me.Key {
			return first, nil
		}
		if less(h.Key, first.Key) {
			first = h
		}
		c, ok := tn.desiredClaim(h, field)
		if !ok {
			return nil, nil
		}
		next, err := tn.ledger.Holder(ctx, c)
		if err != nil || next == nil || next.Key == h.Key {
			return nil, err
		}
		h = next
	}
	return nil, nil
}

func less(a, b consumers.Key) bool {
	if a.Organization != b.Organization {
		return a.Organization < b.Organization
	}
	return a.Entity < b.Entity
}
