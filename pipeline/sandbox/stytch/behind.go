package stytch

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
)

// Behind acts as somebody else does, in Stytch's dashboard or in the application:
// by the API's rules, without rate limit, faults and journal.
type Behind struct{ s *Simulator }

// Behind acts behind the backs of the API's callers.
func (s *Simulator) Behind() Behind { return Behind{s: s} }

// CreateOrganization creates one of the API's fields.
func (b Behind) CreateOrganization(fields map[string]any) (Organization, error) {
	res, err := b.do(createOrganization, nil, fields)
	if err != nil {
		return Organization{}, fmt.Errorf("create an organization: %w", err)
	}
	return res["organization"].(Organization), nil
}

// UpdateOrganization changes the fields given; organization is any id of it.
func (b Behind) UpdateOrganization(organization string, fields map[string]any) (Organization, error) {
	res, err := b.do(updateOrganization, map[string]string{"organization": organization}, fields)
	if err != nil {
		return Organization{}, fmt.Errorf("update an organization: %w", err)
	}
	return res["organization"].(Organization), nil
}

// DeleteOrganization deletes one and its members.
func (b Behind) DeleteOrganization(organization string) error {
	if _, err := b.do(deleteOrganization, map[string]string{"organization": organization}, nil); err != nil {
		return fmt.Errorf("delete an organization: %w", err)
	}
	return nil
}

// CreateMember creates one of the API's fields, without password.
func (b Behind) CreateMember(organization string, fields map[string]any) (Member, error) {
	res, err := b.do(createMember, map[string]string{"organization": organization}, fields)
	if err != nil {
		return Member{}, fmt.Errorf("create a member: %w", err)
	}
	return res["member"].(Member), nil
}

// UpdateMember changes the fields given; member is a Stytch id.
func (b Behind) UpdateMember(member string, fields map[string]any) (Member, error) {
	path, err := b.path(member)
	if err != nil {
		return Member{}, fmt.Errorf("update a member: %w", err)
	}
	res, err := b.do(updateMember, path, fields)
	if err != nil {
		return Member{}, fmt.Errorf("update a member: %w", err)
	}
	return res["member"].(Member), nil
}

// DeleteMember deletes one; member is a Stytch id.
func (b Behind) DeleteMember(member string) error {
	path, err := b.path(member)
	if err == nil {
		_, err = b.do(deleteMember, path, nil)
	}
	if err != nil {
		return fmt.Errorf("delete a member: %w", err)
	}
	return nil
}

// SetPassword gives a member a new password, as its reset by the member does: with a
// new member_password_id and a verified address (hazard A8).
func (b Behind) SetPassword(member, plain string) error {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	m := b.s.mu.members[member]
	if m == nil || m.view.Status == StatusDeleted {
		return fmt.Errorf("set a password: %w", errMemberNotFound)
	}
	if err := b.s.setUserPassword(m, plain); err != nil {
		return fmt.Errorf("set a password: %w", err)
	}
	return nil
}

// VerifyEmail marks a member's address as verified, as a magic link does.
func (b Behind) VerifyEmail(member string) error {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	m := b.s.mu.members[member]
	if m == nil || m.view.Status == StatusDeleted {
		return fmt.Errorf("verify an address: %w", errMemberNotFound)
	}
	m.view.EmailAddressVerified, m.view.Status, m.view.UpdatedAt = true, StatusActive, b.s.now()
	return nil
}

func (b Behind) path(member string) (map[string]string, error) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	m := b.s.mu.members[member]
	if m == nil {
		return nil, errMemberNotFound
	}
	return map[string]string{"organization": m.view.OrganizationID, "member": member}, nil
}

func (b Behind) do(perform operation, path map[string]string, fields map[string]any) (response, error) {
	body := json.RawMessage("{}")
	if fields != nil {
		var err error
		if body, err = json.Marshal(fields); err != nil {
			return nil, fmt.Errorf("encode the fields: %w", err)
		}
	}
	c := &call{path: path, body: body, requestID: "request-id-" + b.s.options.environment() + "-" + uuid.NewString()}
	return perform(b.s, c)
}
