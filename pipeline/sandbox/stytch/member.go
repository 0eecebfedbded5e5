package stytch

import (
	"encoding/json"
	"slices"
	"strings"
)

// memberFields are what create, update and migrate take, each some of them.
type memberFields struct {
	EmailAddress          *string         `json:"email_address"`
	Name                  *string         `json:"name"`
	TrustedMetadata       json.RawMessage `json:"trusted_metadata"`
	UntrustedMetadata     json.RawMessage `json:"untrusted_metadata"`
	CreateMemberAsPending *bool           `json:"create_member_as_pending"`
	IsBreakglass          *bool           `json:"is_breakglass"`
	MFAPhoneNumber        *string         `json:"mfa_phone_number"`
	MFAEnrolled           *bool           `json:"mfa_enrolled"`
	DefaultMFAMethod      *string         `json:"default_mfa_method"`
	Roles                 *[]string       `json:"roles"`
	ExternalID            *string         `json:"external_id"`
	UnlinkEmail           *bool           `json:"unlink_email"`
}

// answerMember is what most member endpoints answer; the caller holds the lock.
func (m *member) answer() response {
	return response{"member_id": m.view.MemberID, "member": m.show(), "organization": m.org.view}
}

func createMember(s *Simulator, c *call) (response, error) {
	var f memberFields
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	next, err := s.newMember(o, f.EmailAddress)
	if err != nil {
		return nil, err
	}
	if f.CreateMemberAsPending != nil && *f.CreateMemberAsPending {
		next.view.Status = StatusPending
	}
	f.DefaultMFAMethod = nil // only update takes it
	if err := s.applyMember(nil, &next, f); err != nil {
		return nil, err
	}
	m := s.addMember(next)
	c.about(o, m)
	return m.answer(), nil
}

// newMember is a member of an address that is free; it is in no index yet.
func (s *Simulator) newMember(o *organization, address *string) (member, error) {
	if address == nil {
		return member{}, badRequest("email_address is missing.")
	}
	email, err := normalEmail(*address)
	if err != nil {
		return member{}, err
	}
	if err := s.freeEmail(o, nil, email); err != nil {
		return member{}, err
	}
	now := s.now()
	return member{
		seq: s.mu.seq(), created: s.options.Now(), org: o, emailID: s.mu.newID("email"), roles: []string{},
		view: Member{
			OrganizationID: o.view.OrganizationID, MemberID: s.mu.newID("member"), EmailAddress: email, Status: StatusActive,
			SSORegistrations: []struct{}{}, OAuthRegistrations: []struct{}{}, RetiredEmailAddresses: []RetiredEmail{},
			TrustedMetadata: map[string]any{}, UntrustedMetadata: map[string]any{}, CreatedAt: now, UpdatedAt: now,
		},
	}, nil
}

func (s *Simulator) addMember(next member) *member {
	m := &next
	m.org.members = append(m.org.members, m)
	s.mu.indexMember(m)
	return m
}

// freeEmail refuses an address that another member has or had, or whose domain
// another organization claims.
func (s *Simulator) freeEmail(o *organization, m *member, email string) error {
	if holder := s.mu.claimed[emailDomain(email)]; holder != nil && holder != o {
		return refuse("action_not_allowed_email_domain_is_claimed", "The email domain is claimed by another organization.")
	}
	holder := o.byEmail[email]
	switch {
	case holder == nil || holder == m:
		return nil
	case holder.view.EmailAddress == email:
		return refuse("duplicate_member_email", "A member with this email already exists for this organization.")
	}
	return refuse("retired_member_email", "The email was retired by another member of this organization.")
}

// applyMember writes the fields that have the same meaning everywhere into next,
// or refuses them all. m is the member as it is, nil when it is new.
func (s *Simulator) applyMember(m *member, next *member, f memberFields) error {
	v := &next.view
	if f.Name != nil {
		if err := validText(*f.Name); err != nil {
			return err
		}
		v.Name = *f.Name
	}
	if f.IsBreakglass != nil {
		v.IsBreakglass = *f.IsBreakglass
	}
	if f.MFAEnrolled != nil {
		v.MFAEnrolled = *f.MFAEnrolled
	}
	var err error
	if f.Roles != nil {
		if next.roles, err = s.explicitRoles(*f.Roles); err != nil {
			return err
		}
	}
	if v.TrustedMetadata, err = mergeMetadata(v.TrustedMetadata, f.TrustedMetadata); err != nil {
		return err
	}
	if v.UntrustedMetadata, err = mergeMetadata(v.UntrustedMetadata, f.UntrustedMetadata); err != nil {
		return err
	}
	if f.ExternalID != nil {
		if !validExternalID(*f.ExternalID) {
			return badRequest("external_id is invalid.")
		}
		if holder := next.org.byExternalID[*f.ExternalID]; holder != nil && holder != m {
			return refuse("duplicate_member_external_id", "A member with this external id already exists for this organization.")
		}
		v.ExternalID = *f.ExternalID
	}
	if err := setPhone(m, next, f.MFAPhoneNumber); err != nil {
		return err
	}
	return setMFAMethod(v, f.DefaultMFAMethod)
}

func setPhone(m, next *member, number *string) error {
	if number == nil {
		return nil
	}
	if err := validPhone(*number); err != nil {
		return err
	}
	if next.view.MFAPhoneNumber != "" {
		return refuse("duplicate_member_phone_number_for_member", "The member has a phone number already: delete it first.")
	}
	if holder := next.org.byPhone[*number]; holder != nil && holder != m {
		return refuse("duplicate_member_phone_number", "A member with this phone number already exists for this organization.")
	}
	next.view.MFAPhoneNumber, next.view.MFAPhoneNumberVerified = *number, false
	return nil
}

func setMFAMethod(v *Member, method *string) error {
	if method == nil {
		return nil
	}
	switch {
	case !slices.Contains(mfaMethods, *method):
		return refuse("invalid_mfa_default_method", "The default MFA method must be sms_otp or totp.")
	case *method == "sms_otp" && v.MFAPhoneNumber == "", *method == "totp" && v.TOTPRegistrationID == "":
		return refuse("default_mfa_member_missing_factor", "The member does not have this factor.")
	}
	v.DefaultMFAMethod = *method
	return nil
}

func getMember(s *Simulator, c *call) (response, error) {
	id, address := c.query.Get("member_id"), c.query.Get("email_address")
	if (id == "") == (address == "") {
		return nil, refuse("invalid_member_get_fields", "Either member_id or email_address must be sent.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	if id == "" {
		email, err := normalEmail(address)
		if err != nil {
			return nil, err
		}
		m := o.byEmail[email]
		if m == nil || m.view.EmailAddress != email {
			return nil, errMemberNotFound
		}
		c.about(o, m)
		return m.answer(), nil
	}
	m, err := s.mu.member(o, id)
	if err != nil {
		return nil, err
	}
	c.about(o, m)
	return m.answer(), nil
}

// dangerouslyGetMember crosses organizations and, when asked, shows deleted members.
func dangerouslyGetMember(s *Simulator, c *call) (response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mu.members[c.path["member"]]
	if m == nil {
		if err := s.mu.otherEnvironment(c.path["member"], "member"); err != nil {
			return nil, err
		}
		return nil, errMemberNotFound
	}
	c.about(m.org, m)
	if m.view.Status == StatusDeleted && !strings.EqualFold(c.query.Get("include_deleted"), "true") {
		return nil, errMemberNotFound
	}
	return m.answer(), nil
}
