package stytch

// deleteMember is soft: the member stays, as deleted, and its address is free.
func deleteMember(s *Simulator, c *call) (response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	m := s.mu.members[c.path["member"]]
	if m != nil && m.org == o && m.view.Status == StatusDeleted && s.options.DeleteAgainOK {
		c.about(o, m)
		return response{"member_id": m.view.MemberID}, nil
	}
	if m, err = s.mu.member(o, c.path["member"]); err != nil {
		return nil, err
	}
	c.about(o, m)
	s.removeMember(m)
	return response{"member_id": m.view.MemberID}, nil
}

// removeMember ends a member's factors; roles, metadata and name stay for a
// reactivation.
func (s *Simulator) removeMember(m *member) {
	next := *m
	next.view.Status = StatusDeleted
	next.view.UpdatedAt = s.now()
	next.clearPhone()
	if !s.options.KeepPasswordOnDelete {
		next.clearPassword()
	}
	s.mu.replace(m, next)
	if s.options.KeepExternalIDOnDelete && m.view.ExternalID != "" {
		m.org.byExternalID[m.view.ExternalID] = m
	}
}

// reactivateMember takes the Stytch id alone, no external id.
func reactivateMember(s *Simulator, c *call) (response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	m := s.mu.members[c.path["member"]]
	if m == nil || m.org != o {
		if err := s.mu.otherEnvironment(c.path["member"], "member"); err != nil {
			return nil, err
		}
		return nil, errMemberNotFound
	}
	c.about(o, m)
	switch holder := o.byEmail[m.view.EmailAddress]; {
	case m.view.Status != StatusDeleted:
		return nil, missing("no_deleted_member_found_for_reactivation", "The member is not deleted.")
	case !m.view.EmailAddressVerified:
		return nil, refuse("email_unverified_for_reactivation", "Only a member with a verified email can be reactivated.")
	case holder != nil:
		return nil, refuse("reactivation_email_belongs_to_another_member", "The email belongs to another member of this organization.")
	}
	next := *m
	next.view.Status = StatusActive
	next.view.UpdatedAt = s.now()
	// What others took meanwhile is theirs.
	if holder := o.byExternalID[m.view.ExternalID]; holder != nil && holder != m {
		next.view.ExternalID = ""
	}
	next.view.RetiredEmailAddresses = []RetiredEmail{}
	for _, r := range m.view.RetiredEmailAddresses {
		if o.byEmail[r.EmailAddress] == nil {
			next.view.RetiredEmailAddresses = append(next.view.RetiredEmailAddresses, r)
		}
	}
	s.mu.replace(m, next)
	return m.answer(), nil
}
