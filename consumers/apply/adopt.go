package apply

import (
	"context"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// saved is the Stytch id that the legacy row carries: it means adopt (hazard A15).
func (tn *turn) saved() string {
	if tn.cfg.NothingSaved {
		return ""
	}
	if tn.s.state.Key.Kind == consumers.Organization {
		return text(tn.s.state.Desired["organization_id"])
	}
	return text(tn.s.state.Desired["member_id"])
}

func (tn *turn) adoptSaved(ctx context.Context, id string) (*verdict, error) {
	r, v, err := tn.ask(ctx, func(ctx context.Context) (*observed, error) {
		if tn.s.state.Key.Kind == consumers.Organization {
			return only(ofOrganization(tn.client.GetOrganization(ctx, id)))
		}
		return only(ofMember(tn.client.GetMember(ctx, tn.s.organizationID, id)))
	})
	switch {
	case r == nil:
		return v, err
	case r.missing || r.id != id: // hazard A14
		return parked(consumers.ReasonMissing, ""), nil
	}
	tn.take(r)
	return nil, nil
}

// adoptExisting looks at the object that made a creation fail. It is taken over
// when it carries our external id: nothing else proves that it is ours.
func (tn *turn) adoptExisting(ctx context.Context, errorType string) (*verdict, error) {
	s := tn.s
	if s.state.Key.Kind == consumers.Member {
		if hint, err := tn.enumerated(ctx); err != nil {
			return nil, err
		} else if hint != nil {
			tn.take(hint)
			return nil, nil
		}
	}
	external := fieldExternal
	r, v, err := tn.ask(ctx, func(ctx context.Context) (*observed, error) {
		switch {
		case s.state.Key.Kind == consumers.Organization:
			external = fieldOrgExt
			return only(ofOrganization(tn.client.GetOrganization(ctx, s.external)))
		case errorType == "duplicate_member_external_id":
			return only(ofMember(tn.client.GetMember(ctx, s.organizationID, s.external)))
		}
		return only(ofMember(tn.client.GetMemberByEmail(ctx, s.organizationID, text(s.want[fieldEmail]))))
	})
	switch {
	case r == nil:
		return v, err
	case r.missing && (errorType == "duplicate_member_external_id" || errorType == "organization_external_id_already_used"):
		return tn.taken(ctx, errorType)
	case r.missing || r.values[external] != s.external:
		return parked(consumers.ReasonForeignObject, errorType), nil
	}
	tn.take(r)
	return nil, nil
}

func (tn *turn) take(r *observed) {
	tn.s.adopt(r)
	tn.s.state.Adopted = true
	tn.wakeMembers = true
}

// only makes a look-up's "not there" an answer.
func only(a answer, err error) (*observed, error) {
	switch m := classify(err); {
	case m.outcome == outcomeMissing || m.outcome == outcomeNoParent:
		return &observed{missing: true}, nil
	case err != nil:
		return nil, err
	}
	return a.read, nil
}

// enumerateAfter is how many duplicates in one organization make it worth reading
// as a whole (hazard A17); enumerateMax bounds what is kept of it (invariant 9).
const (
	enumerateAfter = 3
	enumerateMax   = 20_000
)

// enumerated is the member of ours that a search of the whole organization found.
// Searches are few (100 a minute): one organization at a time, once.
func (tn *turn) enumerated(ctx context.Context) (*observed, error) {
	org := tn.s.organizationID
	tn.found.Lock()
	defer tn.found.Unlock()
	if tn.found.org != org {
		tn.found.org, tn.found.duplicates, tn.found.members = org, 0, nil
	}
	tn.found.duplicates++
	if tn.found.members == nil && tn.found.duplicates > enumerateAfter {
		members := map[string]*observed{}
		for cursor := ""; len(members) < enumerateMax; {
			if err := tn.pay(ctx, 1); err != nil {
				return nil, err
			}
			page, err := tn.client.SearchMembers(ctx, stytch.MemberSearch{OrganizationIDs: []string{org}, Cursor: cursor, Limit: 1000})
			tn.metrics.call("search_members", classify(err).outcome)
			if err != nil {
				break // reading one by one works too
			}
			for _, m := range page.Members {
				if a, _ := ofMember(m, nil); m.ExternalID != "" {
					members[m.ExternalID] = a.read
				}
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		tn.found.members = members
	}
	hint := tn.found.members[tn.s.external]
	delete(tn.found.members, tn.s.external)
	return hint, nil
}
