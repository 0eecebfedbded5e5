package stytch

import (
	"slices"
	"strings"
)

// searchOrganizations never shows deleted organizations. There is no filter by
// external id.
func searchOrganizations(s *Simulator, c *call) (response, error) {
	var f searchFields
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	p, err := f.page()
	if err != nil {
		return nil, err
	}
	operands, err := f.operands()
	if err != nil {
		return nil, err
	}
	filters := []filter[organization]{}
	for _, o := range operands {
		f, err := organizationFilter(o)
		if err != nil {
			return nil, err
		}
		filters = append(filters, f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, total := []Organization{}, 0
	var next *string
	for _, o := range s.mu.organizations {
		if o.deleted || !s.indexed(o.created) || !fitsAll(filters, o) {
			continue
		}
		total++
		switch {
		case o.seq <= p.after || next != nil:
		case len(found) == p.limit:
			next = cursor(p.after)
		default:
			p.after = o.seq
			found = append(found, o.view)
		}
	}
	return response{"organizations": found, "results_metadata": response{"total": total, "next_cursor": next}}, nil
}

func organizationFilter(o operand) (filter[organization], error) {
	r := operandReader{kind: "organization_search"}
	name, err := r.name(o)
	if err != nil {
		return nil, err
	}
	var values []string
	var part string
	switch name {
	case "organization_ids":
		values, err = r.texts(o)
		return func(o *organization) bool { return slices.Contains(values, o.view.OrganizationID) }, err
	case "organization_slugs":
		values, err = r.texts(o)
		values = lower(values)
		return func(o *organization) bool {
			return slices.Contains(values, strings.ToLower(o.view.OrganizationSlug))
		}, err
	case "organization_slug_fuzzy":
		part, err = r.fuzzy(o, "organization_search_organization_slug_fuzzy_too_short")
		return func(o *organization) bool { return containsFold(o.view.OrganizationSlug, part) }, err
	case "organization_name_fuzzy":
		part, err = r.fuzzy(o, "organization_search_organization_name_fuzzy_too_short")
		return func(o *organization) bool { return containsFold(o.view.OrganizationName, part) }, err
	case "member_emails":
		values, err = r.emails(o)
		return func(o *organization) bool {
			return slices.ContainsFunc(values, func(e string) bool {
				m := o.byEmail[e]
				return m != nil && m.view.EmailAddress == e
			})
		}, err
	case "member_email_fuzzy":
		part, err = r.fuzzy(o, "organization_search_member_email_fuzzy_too_short")
		return func(o *organization) bool {
			return slices.ContainsFunc(o.members, func(m *member) bool {
				return m.view.Status != StatusDeleted && strings.Contains(m.view.EmailAddress, part)
			})
		}, err
	}
	return r.organizationDomainFilter(name, o)
}

func (r operandReader) organizationDomainFilter(name string, o operand) (filter[organization], error) {
	switch name {
	case "allowed_domains", "claimed_email_domains":
		values, err := r.texts(o)
		values = lower(values)
		of := func(o *organization) []string { return o.view.EmailAllowedDomains }
		if name == "claimed_email_domains" {
			of = func(o *organization) []string { return o.view.ClaimedEmailDomains }
		}
		return func(o *organization) bool {
			return slices.ContainsFunc(of(o), func(d string) bool { return slices.Contains(values, d) })
		}, err
	case "allowed_domain_fuzzy":
		part, err := r.fuzzy(o, "organization_search_allowed_domain_fuzzy_too_short")
		return func(o *organization) bool {
			return slices.ContainsFunc(o.view.EmailAllowedDomains, func(d string) bool { return strings.Contains(d, part) })
		}, err
	case "has_active_sso_connection":
		want, err := r.boolean(o)
		return func(o *organization) bool { return (len(o.view.SSOActiveConnections) > 0) == want }, err
	case "sso_connection_id":
		_, err := r.text(o)
		return func(*organization) bool { return false }, err
	}
	return nil, refuse("organization_search_filter_name_not_recognized", "A filter_name does not exist.")
}
