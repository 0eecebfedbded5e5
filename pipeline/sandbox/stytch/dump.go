package stytch

import (
	"iter"
	"slices"
	"time"
)

// OrganizationState is everything that the simulator holds of an organization.
type OrganizationState struct {
	Organization Organization  `json:"organization"`
	Deleted      bool          `json:"deleted"`
	Members      []MemberState `json:"members"` // in the order of creation, deleted ones included
}

// MemberState is everything that the simulator holds of a member. It contains what
// no API shows: the password hash (invariant 8).
type MemberState struct {
	Member Member `json:"member"`
	// ExplicitRoles are the roles that were assigned, without stytch_member and those
	// that come from the address.
	ExplicitRoles []string  `json:"explicit_roles"`
	Password      *Password `json:"password,omitempty"` // nil: none
}

// Dump walks the organizations in the order of creation, deleted ones included.
// Each one is of one moment; the simulator may go on between two.
func (s *Simulator) Dump() iter.Seq[OrganizationState] {
	return func(yield func(OrganizationState) bool) {
		s.mu.Lock()
		organizations := slices.Clone(s.mu.organizations)
		s.mu.Unlock()
		for _, o := range organizations {
			if !yield(s.dump(o)) {
				return
			}
		}
	}
}

func (s *Simulator) dump(o *organization) OrganizationState {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := OrganizationState{Organization: o.view, Deleted: o.deleted, Members: make([]MemberState, 0, len(o.members))}
	for _, m := range o.members {
		state.Members = append(state.Members, MemberState{Member: m.show(), ExplicitRoles: m.roles, Password: m.password})
	}
	return state
}

// State is a count of what the simulator holds.
type State struct {
	ProjectID            string         `json:"project_id"`
	Time                 time.Time      `json:"time"`
	Organizations        int            `json:"organizations"` // live ones
	DeletedOrganizations int            `json:"deleted_organizations"`
	Members              map[string]int `json:"members"` // by status
	Passwords            int            `json:"passwords"`
	JournalSeq           uint64         `json:"journal_seq"`
}

// State counts what the simulator holds.
func (s *Simulator) State() State {
	state := State{ProjectID: s.options.ProjectID, Time: s.now(), Members: map[string]int{}, JournalSeq: s.Seq()}
	s.mu.Lock()
	defer s.mu.Unlock()
	state.Passwords = len(s.mu.byPassword)
	for _, o := range s.mu.organizations {
		if o.deleted {
			state.DeletedOrganizations++
		} else {
			state.Organizations++
		}
	}
	for _, m := range s.mu.members {
		state.Members[m.view.Status]++
	}
	return state
}
