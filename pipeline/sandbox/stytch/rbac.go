package stytch

import "slices"

// Policy is a project's RBAC policy.
type Policy struct {
	Roles     []PolicyRole     `json:"roles"`
	Resources []PolicyResource `json:"resources"`
	Scopes    []struct{}       `json:"scopes"`
}

// PolicyRole is a role and what it may do.
type PolicyRole struct {
	RoleID      string       `json:"role_id"`
	Description string       `json:"description"`
	Permissions []Permission `json:"permissions"`
}

// Permission lets a role act on a resource; the action "*" is every one.
type Permission struct {
	ResourceID string   `json:"resource_id"`
	Actions    []string `json:"actions"`
}

// PolicyResource is what permissions are about.
type PolicyResource struct {
	ResourceID  string   `json:"resource_id"`
	Description string   `json:"description"`
	Actions     []string `json:"actions"`
}

// newPolicy has Stytch's default roles and resources, and the project's own roles,
// which have no permissions here.
func newPolicy(roles []string) Policy {
	p := Policy{Scopes: []struct{}{}, Resources: []PolicyResource{
		{"stytch.organization", "The organization.", []string{"*", "delete", "update.info.name", "update.info.slug", "update.settings.allowed-auth-methods"}},
		{"stytch.member", "The members.", []string{"*", "create", "delete", "search", "update.info.email", "update.info.name", "update.settings.roles"}},
		{"stytch.sso", "The SSO connections.", []string{"*", "create", "delete", "get", "update"}},
		{"stytch.scim", "The SCIM connection.", []string{"*", "create", "delete", "get", "update"}},
		{"stytch.self", "The member itself.", []string{"*", "delete", "update.info.name", "update.info.mfa-phone"}},
	}}
	all := []Permission{}
	for _, r := range p.Resources {
		all = append(all, Permission{ResourceID: r.ResourceID, Actions: []string{"*"}})
	}
	p.Roles = []PolicyRole{
		{roleMember, "Every member has this role.", []Permission{{ResourceID: "stytch.self", Actions: []string{"*"}}}},
		{roleAdmin, "May do everything in the organization.", all},
	}
	for _, r := range roles {
		if !p.has(r) {
			p.Roles = append(p.Roles, PolicyRole{RoleID: r, Permissions: []Permission{}})
		}
	}
	return p
}

func (p Policy) has(role string) bool {
	return slices.ContainsFunc(p.Roles, func(r PolicyRole) bool { return r.RoleID == role })
}

func rbacPolicy(s *Simulator, _ *call) (response, error) {
	return response{"policy": s.policy}, nil
}

func rbacOrganizationPolicy(s *Simulator, c *call) (response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	return response{"org_policy": response{"roles": o.view.CustomRoles}}, nil
}
