package stytch

import (
	"cmp"
	"slices"
	"strings"
)

// searchMembers leaves deleted members out unless the statuses filter names them.
func searchMembers(s *Simulator, c *call) (response, error) {
	var f struct {
		OrganizationIDs []string `json:"organization_ids"`
		searchFields
	}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	if len(f.OrganizationIDs) == 0 {
		return nil, refuse("member_search_organization_ids_empty", "organization_ids must not be empty.")
	}
	p, err := f.page()
	if err != nil {
		return nil, err
	}
	operands, err := f.operands()
	if err != nil {
		return nil, err
	}
	filters, deleted, err := memberFilters(operands)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.findMembers(f.OrganizationIDs, filters, deleted)
	if err != nil {
		return nil, err
	}
	members, organizations := []Member{}, map[string]Organization{}
	var next *string
	for _, m := range found {
		if m.seq <= p.after {
			continue
		}
		if len(members) == p.limit {
			next = cursor(p.after)
			break
		}
		p.after = m.seq
		members = append(members, m.show())
		organizations[m.view.OrganizationID] = m.org.view
	}
	return response{
		"members": members, "organizations": organizations,
		"results_metadata": response{"total": len(found), "next_cursor": next},
	}, nil
}

// findMembers is in the order of creation; the caller holds the lock.
func (s *Simulator) findMembers(ids []string, filters []filter[member], deleted bool) ([]*member, error) {
	var found []*member
	seen := map[*organization]bool{}
	for _, id := range ids {
		o := s.mu.byID[id] // no slug, no external id
		if o == nil || o.deleted && !deleted {
			if err := s.mu.otherEnvironment(id, "organization"); err != nil {
				return nil, err
			}
			return nil, errOrganizationNotFound
		}
		if seen[o] {
			continue
		}
		seen[o] = true
		for _, m := range o.members {
			if (deleted || m.view.Status != StatusDeleted) && s.indexed(m.created) && fitsAll(filters, m) {
				found = append(found, m)
			}
		}
	}
	if len(seen) > 1 {
		slices.SortFunc(found, func(a, b *member) int { return cmp.Compare(a.seq, b.seq) })
	}
	return found, nil
}

var memberStatuses = []string{StatusActive, StatusPending, "invited", StatusDeleted}

func memberFilters(operands []operand) (filters []filter[member], deleted bool, err error) {
	r := operandReader{kind: "member_search"}
	for _, o := range operands {
		name, err := r.name(o)
		if err != nil {
			return nil, false, err
		}
		var f filter[member]
		switch name {
		case "statuses", "status":
			var statuses []string
			if statuses, err = r.texts(o); err == nil {
				f, err = statusFilter(statuses)
			}
			deleted = slices.Contains(statuses, StatusDeleted)
		case "member_is_breakglass", "member_password_exists":
			var want bool
			want, err = r.boolean(o)
			f = func(m *member) bool { return m.view.IsBreakglass == want }
			if name == "member_password_exists" {
				f = func(m *member) bool { return (m.password != nil) == want }
			}
		default:
			f, err = r.memberTextFilter(name, o)
		}
		if err != nil {
			return nil, false, err
		}
		filters = append(filters, f)
	}
	return filters, deleted, nil
}

func statusFilter(statuses []string) (filter[member], error) {
	for _, s := range statuses {
		if !slices.Contains(memberStatuses, s) {
			return nil, refuse("search_invalid_status_filter", "A status does not exist.")
		}
	}
	return func(m *member) bool { return slices.Contains(statuses, m.view.Status) }, nil
}

func (r operandReader) memberTextFilter(name string, o operand) (filter[member], error) {
	var part string
	var values []string
	var err error
	switch name {
	case "member_ids":
		if values, err = r.texts(o); err != nil {
			return nil, err
		}
		return memberIDFilter(values)
	case "member_emails":
		values, err = r.emails(o)
		return func(m *member) bool { return slices.Contains(values, m.view.EmailAddress) }, err
	case "member_email_fuzzy":
		part, err = r.fuzzy(o, "member_search_member_email_fuzzy_too_short")
		return func(m *member) bool { return strings.Contains(m.view.EmailAddress, part) }, err
	case "member_mfa_phone_numbers", "member_phone_numbers":
		values, err = r.texts(o)
		return func(m *member) bool { return slices.Contains(values, m.view.MFAPhoneNumber) }, err
	case "member_mfa_phone_number_fuzzy", "member_phone_number_fuzzy":
		part, err = r.fuzzy(o, "member_search_member_mfa_phone_number_fuzzy_too_short")
		return func(m *member) bool { return strings.Contains(m.view.MFAPhoneNumber, part) }, err
	case "member_roles":
		values, err = r.texts(o)
		return func(m *member) bool {
			return slices.ContainsFunc(m.show().Roles, func(role MemberRole) bool { return slices.Contains(values, role.RoleID) })
		}, err
	}
	return nil, refuse("member_search_filter_name_not_recognized", "A filter_name does not exist.")
}

func memberIDFilter(ids []string) (filter[member], error) {
	internal := 0
	for _, id := range ids {
		if strings.HasPrefix(id, "member-test-") || strings.HasPrefix(id, "member-live-") {
			internal++
		}
	}
	switch internal {
	case len(ids):
		return func(m *member) bool { return slices.Contains(ids, m.view.MemberID) }, nil
	case 0:
		return func(m *member) bool { return slices.Contains(ids, m.view.ExternalID) }, nil
	}
	return nil, refuse("member_search_cannot_mix_internal_and_external_member_ids", "member_ids mixes Stytch ids and external ids.")
}
