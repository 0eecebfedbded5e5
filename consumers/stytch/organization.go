package stytch

import (
	"context"
	"net/http"
	"time"
)

// Organization is a tenant as Stytch answers it.
type Organization struct {
	ID                   string            `json:"organization_id"`
	ExternalID           string            `json:"organization_external_id"`
	Name                 string            `json:"organization_name"`
	Slug                 string            `json:"organization_slug"`
	LogoURL              string            `json:"organization_logo_url"`
	TrustedMetadata      map[string]any    `json:"trusted_metadata"` // numbers are json.Number
	EmailAllowedDomains  []string          `json:"email_allowed_domains"`
	EmailJITProvisioning string            `json:"email_jit_provisioning"`
	EmailInvites         string            `json:"email_invites"`
	SSOJITProvisioning   string            `json:"sso_jit_provisioning"`
	AuthMethods          string            `json:"auth_methods"`
	AllowedAuthMethods   []string          `json:"allowed_auth_methods"`
	MFAPolicy            string            `json:"mfa_policy"`
	MFAMethods           string            `json:"mfa_methods"`
	AllowedMFAMethods    []string          `json:"allowed_mfa_methods"`
	OAuthJITProvisioning string            `json:"oauth_tenant_jit_provisioning"`
	ClaimedEmailDomains  []string          `json:"claimed_email_domains"`
	DefaultSSOConnection string            `json:"sso_default_connection_id"`
	ImplicitRoles        []EmailDomainRole `json:"rbac_email_implicit_role_assignments"`
	CreatedAt            *time.Time        `json:"created_at"`
	UpdatedAt            *time.Time        `json:"updated_at"`
}

// EmailDomainRole is a role that members get by their address's domain.
type EmailDomainRole struct {
	Domain string `json:"domain"`
	RoleID string `json:"role_id"`
}

// OrganizationSearch filters organizations; filters are joined by AND. There is
// none by external id: GetOrganization takes one. At most 100 searches a minute.
type OrganizationSearch struct {
	IDs            []string
	Slugs          []string
	MemberEmails   []string
	AllowedDomains []string
	Cursor         string // "" starts
	Limit          int    // 1 to 1000; 0 means Stytch's 100
}

// OrganizationPage is a page of a search.
type OrganizationPage struct {
	Organizations []*Organization
	Total         int    // -1 when the workspace has totals disabled
	NextCursor    string // "" on the last page
}

var organizations = []string{"v1", "b2b", "organizations"}

func under(path []string, more ...string) []string {
	return append(path[:len(path):len(path)], more...)
}

// CreateOrganization creates one: organization_name and organization_slug are required.
func (c *Client) CreateOrganization(ctx context.Context, f Fields) (*Organization, error) {
	return c.organization(ctx, request{name: "create_organization", method: http.MethodPost, path: organizations, body: orEmpty(f)})
}

// GetOrganization reads one by Stytch's id, external id or slug. Whoever asks by
// anything but Stytch's id must check that the answer is the one meant (hazard A14).
func (c *Client) GetOrganization(ctx context.Context, id string) (*Organization, error) {
	return c.organization(ctx, request{name: "get_organization", method: http.MethodGet, path: under(organizations, id)})
}

// UpdateOrganization changes the fields that f names. Metadata is merged by
// top-level key; lists are replaced whole.
func (c *Client) UpdateOrganization(ctx context.Context, id string, f Fields) (*Organization, error) {
	return c.organization(ctx, request{name: "update_organization", method: http.MethodPut, path: under(organizations, id), body: orEmpty(f)})
}

// DeleteOrganization deletes one with all its members and their sessions.
func (c *Client) DeleteOrganization(ctx context.Context, id string) error {
	return c.deleted(ctx, "delete_organization", under(organizations, id))
}

// DeleteOrganizationExternalID removes an organization's external id.
func (c *Client) DeleteOrganizationExternalID(ctx context.Context, id string) (*Organization, error) {
	return c.organization(ctx, request{name: "delete_organization_external_id", method: http.MethodDelete, path: under(organizations, id, "external_id")})
}

// SearchOrganizations reads a page. Without filters it lists every organization.
func (c *Client) SearchOrganizations(ctx context.Context, s OrganizationSearch) (*OrganizationPage, error) {
	var q query
	q.add("organization_ids", s.IDs)
	q.add("organization_slugs", s.Slugs)
	q.add("member_emails", s.MemberEmails)
	q.add("allowed_domains", s.AllowedDomains)
	var out struct {
		Organizations *[]*Organization `json:"organizations"`
		Results       results          `json:"results_metadata"`
	}
	err := c.call(ctx, request{
		name: "search_organizations", method: http.MethodPost, path: under(organizations, "search"),
		body: q.body(s.Cursor, s.Limit),
	}, &out, func() bool { return out.Organizations != nil })
	if err != nil {
		return nil, err
	}
	return &OrganizationPage{Organizations: *out.Organizations, Total: out.Results.Total, NextCursor: out.Results.NextCursor}, nil
}

func (c *Client) organization(ctx context.Context, r request) (*Organization, error) {
	var out struct {
		Organization Organization `json:"organization"`
	}
	err := c.call(ctx, r, &out, func() bool { return out.Organization.ID != "" })
	if err != nil {
		return nil, err
	}
	return &out.Organization, nil
}

// deleted makes a DELETE whose answer is only an acknowledgement.
func (c *Client) deleted(ctx context.Context, name string, path []string) error {
	var out struct {
		RequestID  string `json:"request_id"`
		StatusCode int    `json:"status_code"`
	}
	return c.call(ctx, request{name: name, method: http.MethodDelete, path: path}, &out,
		func() bool { return out.RequestID != "" || out.StatusCode != 0 })
}

func orEmpty(f Fields) Fields {
	if f == nil {
		return Fields{}
	}
	return f
}

type results struct {
	Total      int    `json:"total"`
	NextCursor string `json:"next_cursor"` // null on the last page
}

// query collects the operands of a search, joined by AND.
type query []map[string]any

func (q *query) add(filter string, values []string) {
	if len(values) > 0 {
		*q = append(*q, map[string]any{"filter_name": filter, "filter_value": values})
	}
}

func (q query) body(cursor string, limit int) Fields {
	f := Fields{}
	if len(q) > 0 {
		f["query"] = map[string]any{"operator": "AND", "operands": []map[string]any(q)}
	}
	if cursor != "" {
		f["cursor"] = cursor
	}
	if limit > 0 {
		f["limit"] = limit
	}
	return f
}
