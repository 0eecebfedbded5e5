package apply

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// What stays in applied state when an object is gone.
const (
	fieldGeneration = "generation" // of the external id; absent: the first
	fieldFormer     = "former"     // the deleted object, until another one stands for the key
)

// rescue is how a creation goes on whose external id a deleted object keeps: rungs
// of a ladder, each tried once in a turn.
type rescue int

const (
	rescueNone rescue = iota
	rescueReactivate
	rescueFree
	rescueGeneration
)

// former is the object that stood for the key before: Stytch does not promise that
// a deleted one gives its external id back.
type former struct {
	id, organizationID, passwordID string
	// keys are the names of the metadata that we had written, by field: when the object
	// comes back they are ours to remove.
	keys map[string]any
}

func (f former) value() ledger.Value {
	return ledger.Value{V: map[string]any{"id": f.id, "organization_id": f.organizationID, "password_id": f.passwordID, "keys": f.keys}}
}

func formerOf(a ledger.Applied) former {
	m, _ := a[fieldFormer].V.(map[string]any)
	keys, _ := m["keys"].(map[string]any)
	return former{text(m["id"]), text(m["organization_id"]), text(m["password_id"]), keys}
}

// metadataKeys are the names of the metadata in applied state, and of a call in
// flight, by field.
func metadataKeys(st *ledger.State) map[string]any {
	out := map[string]any{}
	note := func(field string, v any) {
		m, ok := v.(map[string]any)
		if !ok || field == fieldFormer {
			return
		}
		names, _ := out[field].(map[string]any)
		if names == nil {
			names = map[string]any{}
			out[field] = names
		}
		for name := range m {
			names[name] = true
		}
	}
	for field, v := range st.Applied {
		note(field, v.V)
	}
	if st.Mark != nil {
		for field, v := range st.Mark.Maybe {
			note(field, v)
		}
	}
	return out
}

// generation is the number that the ledger has for an entity's external id.
func generation(a ledger.Applied) int {
	switch n := a[fieldGeneration].V.(type) {
	case json.Number:
		i, err := n.Int64()
		if err != nil {
			return 0 // not written by us
		}
		return int(i)
	case int:
		return n
	}
	return 0
}

// lasting is what of applied state outlives the object.
func lasting(a ledger.Applied) ledger.Applied {
	out := ledger.Applied{}
	for _, f := range []string{fieldGeneration, fieldFormer} {
		if v, has := a[f]; has {
			out[f] = v
		}
	}
	return out
}

// taken climbs to the next rung. The external id is in use, and nobody alive has
// it: bring the deleted member back, else free its external id, else go on under
// the next generation, which is recorded before the call that uses it is marked.
func (tn *turn) taken(ctx context.Context, errorType string) (*verdict, error) {
	s := tn.s
	old, member := formerOf(s.state.Applied), s.state.Key.Kind == consumers.Member
	known := old.id != "" && (!member || old.organizationID == s.organizationID)
	if s.rescue == rescueNone {
		s.rescue = rescueReactivate
		if known && member {
			ok, v, err := tn.mayReturn(ctx, old)
			if v != nil || err != nil || ok {
				return v, err
			}
		}
	}
	switch {
	case s.rescue == rescueReactivate && known:
		s.rescue = rescueFree
	case s.rescue == rescueReactivate || s.rescue == rescueFree:
		s.rescue = rescueGeneration
		n := generation(s.state.Applied) + 1
		s.state.Applied[fieldGeneration] = ledger.Value{V: n}
		s.external = stytch.Generation(tn.firstExternal(), n)
	default:
		return parked(consumers.ReasonForeignObject, errorType), nil
	}
	return nil, nil
}

// mayReturn says whether the deleted member can be reactivated: it is ours, its
// address is verified, and it is the address that is wanted, so that the claim to
// it is the creation's.
func (tn *turn) mayReturn(ctx context.Context, old former) (bool, *verdict, error) {
	s, ok := tn.s, false
	r, v, err := tn.ask(ctx, func(ctx context.Context) (*observed, error) {
		m, err := tn.client.DangerouslyGetMember(ctx, old.id, true)
		if err == nil {
			ok = m.ID == old.id && m.OrganizationID == old.organizationID && m.Status == "deleted" && m.EmailVerified &&
				m.ExternalID == s.external && strings.EqualFold(m.EmailAddress, text(s.want[fieldEmail]))
		}
		return only(ofMember(m, err))
	})
	if r == nil {
		return false, v, err
	}
	return ok && !r.missing, nil, nil
}

// planRescue is the call of the rung that stands, if it has one.
func planRescue(s *subject) (call, bool) {
	old := formerOf(s.state.Applied).id
	switch {
	case s.rescue == rescueReactivate && s.state.Key.Kind == consumers.Member:
		return call{step: stepReactivateMember, former: old, creates: true, sets: map[string]any{fieldEmail: s.want[fieldEmail]}}, true
	case s.rescue == rescueFree && !s.freed && s.state.Key.Kind == consumers.Member:
		return call{step: stepFreeMember, former: old, sets: map[string]any{}}, true
	case s.rescue == rescueFree && !s.freed:
		return call{step: stepFreeOrganization, former: old, sets: map[string]any{}}, true
	}
	return call{}, false
}

func rescues(step string) bool {
	return step == stepReactivateMember || step == stepFreeMember || step == stepFreeOrganization
}

// returned tells whether the password of a member that came back is the one that
// we had set (hazard A8). Of a deleted member not even a digest of the hash is
// kept: the password is replaced, or removed where none is wanted.
func (s *subject) returned(r *observed) bool {
	old := formerOf(s.state.Applied)
	if old.id == "" || old.id != r.id || r.passwordID != old.passwordID {
		return false
	}
	s.state.PasswordID, s.state.HashDigest = r.passwordID, s.digest.of("returned", r.passwordID)
	return true
}
