package stytch

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// store is everything that the project holds. The simulator's lock guards it.
// Slices and maps inside the views are replaced, never changed in place, so that a
// shallow copy of a view may leave the lock.
type store struct {
	environment string
	nextSeq     uint64

	organizations []*organization // in the order of creation, deleted ones included
	byID          map[string]*organization
	bySlug        map[string]*organization // lower case
	byExternalID  map[string]*organization
	claimed       map[string]*organization // by e-mail domain

	members    map[string]*member // by Stytch id, deleted ones included
	byPassword map[string]*member // by member_password_id
}

type organization struct {
	seq     uint64
	created time.Time
	view    Organization
	deleted bool

	members      []*member          // in the order of creation, deleted ones included
	byEmail      map[string]*member // addresses that nobody else may take, retired ones included
	byExternalID map[string]*member
	byPhone      map[string]*member
	live         int
}

type member struct {
	seq      uint64
	created  time.Time
	org      *organization
	view     Member // Roles and IsAdmin are made when it is shown
	emailID  string
	roles    []string // explicit ones
	password *Password
}

func newStore(environment string) *store {
	return &store{
		environment: environment,
		byID:        map[string]*organization{}, bySlug: map[string]*organization{},
		byExternalID: map[string]*organization{}, claimed: map[string]*organization{},
		members: map[string]*member{}, byPassword: map[string]*member{},
	}
}

func (s *store) newID(kind string) string {
	return kind + "-" + s.environment + "-" + uuid.NewString()
}

func (s *store) seq() uint64 {
	s.nextSeq++
	return s.nextSeq
}

// organization finds a live organization by whatever Stytch takes as
// organization_id. A slug shadows an external id that reads the same (hazard A14).
func (s *store) organization(id string) (*organization, error) {
	for _, o := range []*organization{s.byID[id], s.bySlug[strings.ToLower(id)], s.byExternalID[id]} {
		if o != nil && !o.deleted {
			return o, nil
		}
	}
	if err := s.otherEnvironment(id, "organization"); err != nil {
		return nil, err
	}
	if !looksLikeID(id) {
		return nil, refuse("invalid_organization_id", "The organization id is invalid.")
	}
	return nil, errOrganizationNotFound
}

// member finds a live member by Stytch id or external id.
func (s *store) member(o *organization, id string) (*member, error) {
	m := s.members[id]
	if m == nil || m.org != o {
		m = o.byExternalID[id]
	}
	if m != nil && m.view.Status != StatusDeleted {
		return m, nil
	}
	if err := s.otherEnvironment(id, "member"); err != nil {
		return nil, err
	}
	return nil, errMemberNotFound
}

func (s *store) otherEnvironment(id, kind string) error {
	switch {
	case s.environment == "test" && strings.HasPrefix(id, kind+"-live-"):
		return refuse("live_id_used_in_test_environment", "An id of a live environment was used in a test environment.")
	case s.environment == "live" && strings.HasPrefix(id, kind+"-test-"):
		return refuse("test_id_used_in_live_environment", "An id of a test environment was used in a live environment.")
	}
	return nil
}

// put replaces an organization's view and its index entries.
func (s *store) put(o *organization, view Organization) {
	if o.view.OrganizationID != "" {
		s.unindex(o)
	}
	o.view = view
	s.byID[view.OrganizationID] = o
	s.bySlug[strings.ToLower(view.OrganizationSlug)] = o
	if view.OrganizationExternalID != "" {
		s.byExternalID[view.OrganizationExternalID] = o
	}
	for _, d := range view.ClaimedEmailDomains {
		s.claimed[d] = o
	}
}

func (s *store) unindex(o *organization) {
	drop(s.bySlug, strings.ToLower(o.view.OrganizationSlug), o)
	drop(s.byExternalID, o.view.OrganizationExternalID, o)
	for _, d := range o.view.ClaimedEmailDomains {
		drop(s.claimed, d, o)
	}
}

// replace puts a member's new state in the place of the old one, index included.
func (s *store) replace(m *member, next member) {
	s.unindexMember(m)
	*m = next
	s.indexMember(m)
}

func (s *store) indexMember(m *member) {
	o := m.org
	s.members[m.view.MemberID] = m
	if m.password != nil {
		s.byPassword[m.password.ID] = m
	}
	if m.view.Status == StatusDeleted {
		return
	}
	o.byEmail[m.view.EmailAddress] = m
	for _, r := range m.view.RetiredEmailAddresses {
		o.byEmail[r.EmailAddress] = m
	}
	if m.view.ExternalID != "" {
		o.byExternalID[m.view.ExternalID] = m
	}
	if m.view.MFAPhoneNumber != "" {
		o.byPhone[m.view.MFAPhoneNumber] = m
	}
	o.live++
}

func (s *store) unindexMember(m *member) {
	o := m.org
	if m.password != nil {
		drop(s.byPassword, m.password.ID, m)
	}
	drop(o.byEmail, m.view.EmailAddress, m)
	for _, r := range m.view.RetiredEmailAddresses {
		drop(o.byEmail, r.EmailAddress, m)
	}
	drop(o.byExternalID, m.view.ExternalID, m)
	drop(o.byPhone, m.view.MFAPhoneNumber, m)
	if m.view.Status != StatusDeleted {
		o.live--
	}
}

// drop removes an entry that is still the holder's.
func drop[T any](index map[string]*T, key string, holder *T) {
	if index[key] == holder {
		delete(index, key)
	}
}

const (
	roleMember = "stytch_member"
	roleAdmin  = "stytch_admin"
)

// show makes the API's view of a member: stytch_member first, explicit roles as
// they were sent, then those that the address brings.
func (m *member) show() Member {
	v := m.view
	v.Roles = make([]MemberRole, 0, len(m.roles)+1)
	direct := RoleSource{Type: "direct_assignment", Details: map[string]string{}}
	for _, r := range append([]string{roleMember}, m.roles...) {
		v.Roles = append(v.Roles, MemberRole{RoleID: r, Sources: []RoleSource{direct}})
	}
	domain := emailDomain(v.EmailAddress)
	for _, d := range m.org.view.RBACEmailImplicitRoleAssignments {
		if d.Domain != domain {
			continue
		}
		source := RoleSource{Type: "email_assignment", Details: map[string]string{"email_domain": domain}}
		i := slices.IndexFunc(v.Roles, func(r MemberRole) bool { return r.RoleID == d.RoleID })
		if i < 0 {
			v.Roles = append(v.Roles, MemberRole{RoleID: d.RoleID, Sources: []RoleSource{source}})
			continue
		}
		v.Roles[i].Sources = append(v.Roles[i].Sources, source)
	}
	v.IsAdmin = slices.ContainsFunc(v.Roles, func(r MemberRole) bool { return r.RoleID == roleAdmin })
	return v
}
