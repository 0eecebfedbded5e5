package apply

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// invoke makes a planned call. Calls name objects by Stytch's own ids (hazard A14).
func invoke(ctx context.Context, api API, s *subject, c call) (answer, error) {
	org, id := s.organizationID, s.state.StytchID
	switch c.step {
	case stepCreateOrganization:
		return ofOrganization(api.CreateOrganization(ctx, c.fields))
	case stepUpdateOrganization:
		return ofOrganization(api.UpdateOrganization(ctx, id, c.fields))
	case stepDeleteOrganization:
		return answer{}, api.DeleteOrganization(ctx, id)
	case stepCreateMember:
		return ofMember(api.CreateMember(ctx, org, c.fields))
	case stepUpdateMember:
		return ofMember(api.UpdateMember(ctx, org, id, c.fields))
	case stepDeleteMember:
		return answer{}, api.DeleteMember(ctx, org, id)
	case stepDeletePhone:
		return ofMember(api.DeleteMFAPhone(ctx, org, id))
	case stepDeletePassword:
		return answer{}, api.DeletePassword(ctx, org, c.password)
	case stepReactivateMember:
		return ofMember(api.ReactivateMember(ctx, org, c.former))
	case stepFreeMember:
		_, err := api.DeleteMemberExternalID(ctx, org, c.former)
		return answer{}, err
	case stepFreeOrganization:
		_, err := api.DeleteOrganizationExternalID(ctx, c.former)
		return answer{}, err
	case stepMigratePassword:
		m, err := api.MigratePassword(ctx, c.fields)
		if err != nil {
			return answer{}, err
		}
		a, err := ofMember(m.Member, nil)
		a.created = m.MemberCreated
		return a, err
	}
	return answer{}, fmt.Errorf("apply: the planner made a step that no call has: %s", c.step)
}

func ofOrganization(o *stytch.Organization, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return answer{read: &observed{id: o.ID, values: organizationValues(o)}}, nil
}

func ofMember(m *stytch.Member, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return answer{read: &observed{id: m.ID, values: memberValues(m), passwordID: m.PasswordID}}, nil
}

// fetch reads an entity: by Stytch's id when it is known, else by our external id,
// and then only an answer that carries the same one counts (hazard A14).
func fetch(ctx context.Context, api API, s *subject) (*observed, error) {
	id, external := s.state.StytchID, fieldExternal
	if id == "" {
		id = s.external
	}
	var a answer
	var err error
	if s.state.Key.Kind == consumers.Organization {
		external = fieldOrgExt
		a, err = ofOrganization(api.GetOrganization(ctx, id))
	} else {
		a, err = ofMember(api.GetMember(ctx, s.organizationID, id))
	}
	switch m := classify(err); {
	case m.outcome == outcomeMissing || m.outcome == outcomeNoParent:
		return &observed{missing: true}, nil
	case err != nil:
		return nil, err
	case s.state.StytchID != "" && a.read.id != s.state.StytchID,
		s.state.StytchID == "" && a.read.values[external] != s.external:
		return &observed{missing: true}, nil
	}
	return a.read, nil
}
