package stytch

import "slices"

// member finds the organization and member in a call's path; the caller holds the
// lock.
func (s *Simulator) member(c *call) (*member, error) {
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	m, err := s.mu.member(o, c.path["member"])
	if err != nil {
		return nil, err
	}
	c.about(o, m)
	return m, nil
}

func updateMember(s *Simulator, c *call) (response, error) {
	var f memberFields
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.member(c)
	if err != nil {
		return nil, err
	}
	next := *m
	if err := s.applyMember(m, &next, f); err != nil {
		return nil, err
	}
	if f.EmailAddress != nil {
		if err := s.changeEmail(m, &next, *f.EmailAddress, f.UnlinkEmail != nil && *f.UnlinkEmail); err != nil {
			return nil, err
		}
	}
	next.view.UpdatedAt = s.now()
	s.mu.replace(m, next)
	return m.answer(), nil
}

// changeEmail clears the password and the verification. The old address is retired,
// so that nobody else may take it, or deleted.
func (s *Simulator) changeEmail(m, next *member, address string, unlink bool) error {
	email, err := normalEmail(address)
	if err != nil {
		return err
	}
	old := m.view.EmailAddress
	if email == old {
		if s.options.SameEmailClearsPassword {
			next.clearPassword()
			next.view.EmailAddressVerified = false
		}
		return nil
	}
	if err := s.freeEmail(m.org, m, email); err != nil {
		return err
	}
	next.clearPassword()
	next.view.EmailAddress, next.view.EmailAddressVerified = email, false
	next.emailID = s.mu.newID("email")
	retired := make([]RetiredEmail, 0, len(m.view.RetiredEmailAddresses)+1)
	for _, r := range m.view.RetiredEmailAddresses {
		if r.EmailAddress == email { // its own old address comes back
			next.emailID = r.EmailID
			continue
		}
		retired = append(retired, r)
	}
	if !unlink {
		retired = append(retired, RetiredEmail{EmailID: m.emailID, EmailAddress: old})
	}
	next.view.RetiredEmailAddresses = retired
	return nil
}

func (m *member) clearPassword() {
	m.password, m.view.MemberPasswordID = nil, ""
}

func unlinkRetiredEmail(s *Simulator, c *call) (response, error) {
	var f struct {
		EmailID      string `json:"email_id"`
		EmailAddress string `json:"email_address"`
	}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	if f.EmailID == "" && f.EmailAddress == "" {
		return nil, refuse("retired_email_missing_email_identifiers", "email_id or email_address must be sent.")
	}
	if f.EmailAddress != "" {
		email, err := normalEmail(f.EmailAddress)
		if err != nil {
			return nil, err
		}
		f.EmailAddress = email
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.member(c)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(m.view.RetiredEmailAddresses, func(r RetiredEmail) bool {
		return (f.EmailID == "" || r.EmailID == f.EmailID) && (f.EmailAddress == "" || r.EmailAddress == f.EmailAddress)
	})
	if i < 0 {
		return nil, missing("email_not_found", "The member has no such retired email.")
	}
	next := *m
	next.view.RetiredEmailAddresses = slices.Delete(slices.Clone(m.view.RetiredEmailAddresses), i, i+1)
	next.view.UpdatedAt = s.now()
	s.mu.replace(m, next)
	res := m.answer()
	res["organization_id"] = m.view.OrganizationID
	return res, nil
}

func deleteMemberPhone(s *Simulator, c *call) (response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.member(c)
	if err != nil {
		return nil, err
	}
	if m.view.MFAPhoneNumber == "" {
		return nil, missing("member_phone_number_not_found", "The member has no phone number.")
	}
	next := *m
	next.clearPhone()
	next.view.UpdatedAt = s.now()
	s.mu.replace(m, next)
	return m.answer(), nil
}

func (m *member) clearPhone() {
	m.view.MFAPhoneNumber, m.view.MFAPhoneNumberVerified = "", false
	if m.view.DefaultMFAMethod == "sms_otp" {
		m.view.DefaultMFAMethod = ""
	}
}

// deleteMemberExternalID works on a deleted member as well, by its Stytch id: that
// is the way to free an external id that deletion kept.
func deleteMemberExternalID(s *Simulator, c *call) (response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	m := s.mu.members[c.path["member"]]
	if m == nil || m.org != o {
		if m, err = s.mu.member(o, c.path["member"]); err != nil {
			return nil, err
		}
	}
	c.about(o, m)
	next := *m
	next.view.ExternalID = ""
	next.view.UpdatedAt = s.now()
	s.mu.replace(m, next)
	return m.answer(), nil
}

// explicitRoles checks roles against the policy; a list that names one twice counts
// it once.
func (s *Simulator) explicitRoles(sent []string) ([]string, error) {
	roles := make([]string, 0, len(sent))
	for _, r := range sent {
		switch {
		case r == roleMember:
			return nil, refuse("cannot_assign_default_rbac_role_id", "Every member has the default role: it cannot be assigned.")
		case !s.options.AnyRole && !s.policy.has(r):
			return nil, refuse("invalid_role", "A role does not exist in the project's RBAC policy.")
		case !slices.Contains(roles, r):
			roles = append(roles, r)
		}
	}
	return roles, nil
}
