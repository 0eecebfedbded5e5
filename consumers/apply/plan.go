package apply

import (
	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// The steps: names of API calls that change something.
const (
	stepCreateOrganization = "create_organization"
	stepUpdateOrganization = "update_organization"
	stepDeleteOrganization = "delete_organization"
	stepCreateMember       = "create_member"
	stepUpdateMember       = "update_member"
	stepDeleteMember       = "delete_member"
	stepMigratePassword    = "migrate_password"
	stepDeletePassword     = "delete_password"
	stepDeletePhone        = "delete_mfa_phone"
	stepReactivateMember   = "reactivate_member"
	stepFreeMember         = "delete_member_external_id"
	stepFreeOrganization   = "delete_organization_external_id"
)

// call is one API call that the planner wants.
type call struct {
	step   string
	fields stytch.Fields
	// sets are the applied fields after success; nil for a delete of the object.
	sets map[string]any
	// creates: the call is meant to make the object.
	creates bool
	// restores: the former hash goes back after a new one was refused (hazard A7).
	restores bool
	password string // member_password_id, of stepDeletePassword
	former   string // Stytch id of the deleted object that a rescue is about
}

// plan is what the planner decided.
type plan struct {
	calls []call
	// read: a fresh read is needed before anything can be decided (invariant 12).
	read bool
	// forget: the object is gone from Stytch, and should be.
	forget bool
	// park: a person must act.
	park   consumers.Reason
	losses []consumers.Loss
	// digest is the password's, to be recorded when the plan is carried out.
	digest []byte
}

// observed is a fresh read of an entity in Stytch.
type observed struct {
	missing    bool
	id         string
	values     values
	passwordID string
}

// subject is what a plan is made from.
type subject struct {
	state *ledger.State
	want  values // nil: should not exist
	pass  password
	read  *observed // nil: not read in this turn
	// foreign are guarded fields that hold neither what we wrote nor what is desired.
	foreign map[string]bool
	// refusal is why Stytch did not take the new hash; kept is the former one, which
	// goes back then (hazard A7).
	refusal consumers.Reason
	kept    password
	// external is the entity's external id; organizationID Stytch's id of the parent.
	external       string
	organizationID string
	parentAdopted  bool
	// rescue is the rung of a creation whose external id a deleted object keeps;
	// freed: that object gave it back.
	rescue rescue
	freed  bool
	// shared: passwords of this project cannot be deleted.
	shared bool
	digest digester
}

// makePlan lists the calls that turn what is applied into what is desired, in
// order. It decides from its arguments alone.
func makePlan(s *subject) plan {
	if s.state.Key.Kind == consumers.Organization {
		return planOrganization(s)
	}
	return planMember(s)
}

func planOrganization(s *subject) plan {
	exists := s.state.StytchID != ""
	switch {
	case s.want == nil && !exists:
		return plan{}
	case s.want == nil && s.read == nil:
		return plan{read: true} // invariant 12
	case s.want == nil && s.read.missing:
		return plan{forget: true}
	case s.want == nil:
		return plan{calls: []call{{step: stepDeleteOrganization}}}
	case !exists:
		if s.want["organization_name"] == "" || s.want["organization_name"] == nil {
			return plan{park: consumers.ReasonInvalidName}
		}
		if c, ok := planRescue(s); ok {
			return plan{calls: []call{c}}
		}
		fields, sets := creation(s.want, fieldOrgExt, s.external)
		return plan{calls: []call{{step: stepCreateOrganization, fields: fields, sets: sets, creates: true}}}
	}
	fields, sets := changes(s, fieldOrgExt)
	if len(fields) == 0 {
		return plan{}
	}
	return plan{calls: []call{{step: stepUpdateOrganization, fields: fields, sets: sets}}}
}

// creation is the body that creates an object: what is empty stays away.
func creation(want values, externalField, external string) (stytch.Fields, map[string]any) {
	fields, sets := stytch.Fields{externalField: external}, map[string]any{externalField: external}
	for name, v := range want {
		sets[name] = v
		if !empty(v) {
			fields[name] = v
		}
	}
	return fields, sets
}

// changes is the body of an update: the fields whose applied value is another, or
// not known.
func changes(s *subject, externalField string) (stytch.Fields, map[string]any) {
	fields, sets := stytch.Fields{}, map[string]any{}
	for name, v := range s.want {
		have := s.state.Applied[name]
		if have.Maybe == nil && same(have.V, v) {
			continue
		}
		sets[name] = v
		if want, ok := v.(map[string]any); ok {
			old, _ := have.V.(map[string]any)
			fields[name] = patch(old, want)
			continue
		}
		fields[name] = v
	}
	if empty(s.state.Applied[externalField].V) { // adopted by Stytch's id: make it findable
		fields[externalField], sets[externalField] = s.external, s.external
	}
	return fields, sets
}
