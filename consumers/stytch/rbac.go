package stytch

import (
	"context"
	"net/http"
)

// Policy is a project's RBAC policy: what roles can be assigned.
type Policy struct {
	Roles []PolicyRole `json:"roles"`
}

// PolicyRole is a role of the policy.
type PolicyRole struct {
	RoleID      string `json:"role_id"`
	Description string `json:"description"`
}

// Has says whether a role can be assigned.
func (p *Policy) Has(roleID string) bool {
	for _, r := range p.Roles {
		if r.RoleID == roleID {
			return true
		}
	}
	return false
}

// RBACPolicy reads the project's policy. It is also the cheapest call that proves
// the credentials.
func (c *Client) RBACPolicy(ctx context.Context) (*Policy, error) {
	var out struct {
		Policy *Policy `json:"policy"`
	}
	err := c.call(ctx, request{name: "get_rbac_policy", method: http.MethodGet, path: []string{"v1", "b2b", "rbac", "policy"}},
		&out, func() bool { return out.Policy != nil })
	if err != nil {
		return nil, err
	}
	return out.Policy, nil
}
