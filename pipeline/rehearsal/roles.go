package rehearsal

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/pipeline/rehearsal/report"
)

// Roles are those that the project's members may have.
type Roles struct {
	From report.RolesFrom
	// Known are the ids of the policy's roles; without a policy, none.
	Known []string
}

// UnknownRoles are taken whatever they are.
func UnknownRoles() *Roles { return &Roles{From: report.RolesUnknown} }

// RolesOf are the roles of a policy.
func RolesOf(p *stytch.Policy, from report.RolesFrom) *Roles {
	r := &Roles{From: from}
	for _, role := range p.Roles {
		r.Known = append(r.Known, role.RoleID)
	}
	return r
}

// Has says whether a member may have a role, as far as is known.
func (r *Roles) Has(role string) bool {
	if r.From == report.RolesUnknown {
		return true
	}
	for _, known := range r.Known {
		if known == role {
			return role != stytch.MemberRole // every member has it, and none can be given it
		}
	}
	return false
}

// ReadRoles reads a policy from a file: what Stytch answers to GET /v1/b2b/rbac/policy,
// or the policy in it.
func ReadRoles(path string) (*Roles, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Inner *stytch.Policy `json:"policy"`
		stytch.Policy
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("%s is not what Stytch answers to GET /v1/b2b/rbac/policy: %w", path, err)
	}
	policy := &answer.Policy
	if answer.Inner != nil {
		policy = answer.Inner
	}
	if len(policy.Roles) == 0 {
		return nil, fmt.Errorf("%s holds no roles; want what Stytch answers to GET /v1/b2b/rbac/policy", path)
	}
	return RolesOf(policy, report.RolesOfFile), nil
}
