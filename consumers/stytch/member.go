package stytch

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The states of a member.
const (
	StatusPending = "pending"
	StatusInvited = "invited"
	StatusActive  = "active"
	StatusDeleted = "deleted"
)

// MemberRole is the role that every member has. It cannot be given or taken.
const MemberRole = "stytch_member"

// Member is a person in an organization as Stytch answers it.
type Member struct {
	OrganizationID    string         `json:"organization_id"`
	ID                string         `json:"member_id"`
	ExternalID        string         `json:"external_id"`
	EmailAddress      string         `json:"email_address"`
	EmailVerified     bool           `json:"email_address_verified"`
	RetiredEmails     []RetiredEmail `json:"retired_email_addresses"`
	Status            string         `json:"status"`
	Name              string         `json:"name"`
	Roles             []Role         `json:"roles"`
	TrustedMetadata   map[string]any `json:"trusted_metadata"`   // numbers are json.Number
	UntrustedMetadata map[string]any `json:"untrusted_metadata"` // numbers are json.Number
	IsBreakglass      bool           `json:"is_breakglass"`
	IsAdmin           bool           `json:"is_admin"`
	IsLocked          bool           `json:"is_locked"`
	PasswordID        string         `json:"member_password_id"` // "" without a password
	TOTPID            string         `json:"totp_registration_id"`
	MFAEnrolled       bool           `json:"mfa_enrolled"`
	MFAPhoneNumber    string         `json:"mfa_phone_number"`
	MFAPhoneVerified  bool           `json:"mfa_phone_number_verified"`
	DefaultMFAMethod  string         `json:"default_mfa_method"`
	CreatedAt         *time.Time     `json:"created_at"`
	UpdatedAt         *time.Time     `json:"updated_at"`
}

// RetiredEmail is a former address that other members of the organization cannot use.
type RetiredEmail struct {
	EmailID      string `json:"email_id"`
	EmailAddress string `json:"email_address"`
}

// Role is a role of a member and where it comes from.
type Role struct {
	RoleID  string       `json:"role_id"`
	Sources []RoleSource `json:"sources"`
}

// RoleSource says why a member has a role: direct_assignment, email_assignment,
// sso_connection, sso_connection_group or scim_connection_group.
type RoleSource struct {
	Type    string         `json:"type"`
	Details map[string]any `json:"details"`
}

// DirectRoles are the roles that were assigned to the member itself, in Stytch's
// order, without MemberRole: what `roles` in a request sets.
func (m *Member) DirectRoles() []string {
	roles := []string{}
	for _, r := range m.Roles {
		if r.RoleID == MemberRole {
			continue
		}
		for _, s := range r.Sources {
			if s.Type == "direct_assignment" {
				roles = append(roles, r.RoleID)
				break
			}
		}
	}
	return roles
}

// MemberSearch filters the members of organizations; filters are joined by AND.
// At most 100 searches a minute.
type MemberSearch struct {
	OrganizationIDs []string // required, Stytch's ids
	Emails          []string
	MemberIDs       []string // Stytch's ids or external ids, never both
	Statuses        []string // deleted members are left out unless named here
	Cursor          string   // "" starts
	Limit           int      // 1 to 1000; 0 means Stytch's 100
}

// MemberPage is a page of a search.
type MemberPage struct {
	Members    []*Member
	Total      int    // -1 when the workspace has totals disabled
	NextCursor string // "" on the last page
}

func members(org string, more ...string) []string {
	return under(organizations, append([]string{org, "members"}, more...)...)
}

// CreateMember creates a member: email_address is required.
func (c *Client) CreateMember(ctx context.Context, org string, f Fields) (*Member, error) {
	return c.member(ctx, request{name: "create_member", method: http.MethodPost, path: members(org), body: orEmpty(f)})
}

// GetMember reads a member by Stytch's id or external id. Whoever asks by external
// id must check that the answer carries it (hazard A14). A deleted one is not found.
func (c *Client) GetMember(ctx context.Context, org, idOrExternal string) (*Member, error) {
	return c.getMember(ctx, org, "member_id", idOrExternal)
}

// GetMemberByEmail reads a member by address. The API takes it in the URL's query:
// this is the one place where a value travels there, and no error repeats it.
func (c *Client) GetMemberByEmail(ctx context.Context, org, email string) (*Member, error) {
	return c.getMember(ctx, org, "email_address", email)
}

func (c *Client) getMember(ctx context.Context, org, by, value string) (*Member, error) {
	return c.member(ctx, request{
		name: "get_member", method: http.MethodGet,
		path: under(organizations, org, "member"), query: url.Values{by: {value}},
	})
}

// DangerouslyGetMember reads a member of any organization by Stytch's id: besides
// a search the only way to see a deleted one.
func (c *Client) DangerouslyGetMember(ctx context.Context, memberID string, includeDeleted bool) (*Member, error) {
	return c.member(ctx, request{
		name: "dangerously_get_member", method: http.MethodGet,
		path:  under(organizations, "members", "dangerously_get", memberID),
		query: url.Values{"include_deleted": {strconv.FormatBool(includeDeleted)}},
	})
}

// UpdateMember changes the fields that f names. A new email_address removes the
// password and the verification of the old one; roles replaces the whole list of
// direct roles; metadata is merged by top-level key.
func (c *Client) UpdateMember(ctx context.Context, org, id string, f Fields) (*Member, error) {
	return c.member(ctx, request{name: "update_member", method: http.MethodPut, path: members(org, id), body: orEmpty(f)})
}

// DeleteMember deletes a member softly: its status becomes deleted, its address free.
func (c *Client) DeleteMember(ctx context.Context, org, id string) error {
	return c.deleted(ctx, "delete_member", members(org, id))
}

// ReactivateMember brings back a deleted member whose address was verified. It
// takes Stytch's id only.
func (c *Client) ReactivateMember(ctx context.Context, org, memberID string) (*Member, error) {
	return c.member(ctx, request{name: "reactivate_member", method: http.MethodPut, path: members(org, memberID, "reactivate"), body: Fields{}})
}

// SearchMembers reads a page.
func (c *Client) SearchMembers(ctx context.Context, s MemberSearch) (*MemberPage, error) {
	var q query
	q.add("member_emails", s.Emails)
	q.add("member_ids", s.MemberIDs)
	q.add("statuses", s.Statuses)
	body := q.body(s.Cursor, s.Limit)
	body["organization_ids"] = s.OrganizationIDs
	var out struct {
		Members *[]*Member `json:"members"`
		Results results    `json:"results_metadata"`
	}
	err := c.call(ctx, request{
		name: "search_members", method: http.MethodPost, path: under(organizations, "members", "search"), body: body,
	}, &out, func() bool { return out.Members != nil })
	if err != nil {
		return nil, err
	}
	return &MemberPage{Members: *out.Members, Total: out.Results.Total, NextCursor: out.Results.NextCursor}, nil
}

// DeleteMFAPhone removes a member's phone number; an update cannot replace one
// that is set.
func (c *Client) DeleteMFAPhone(ctx context.Context, org, id string) (*Member, error) {
	return c.member(ctx, request{name: "delete_mfa_phone", method: http.MethodDelete, path: members(org, "mfa_phone_numbers", id)})
}

// DeleteMemberExternalID removes a member's external id.
func (c *Client) DeleteMemberExternalID(ctx context.Context, org, id string) (*Member, error) {
	return c.member(ctx, request{name: "delete_member_external_id", method: http.MethodDelete, path: members(org, id, "external_id")})
}

// UnlinkRetiredEmail frees a member's former address for others.
func (c *Client) UnlinkRetiredEmail(ctx context.Context, org, id, email string) (*Member, error) {
	return c.member(ctx, request{
		name: "unlink_retired_email", method: http.MethodPost, path: members(org, id, "unlink_retired_email"),
		body: Fields{"email_address": email},
	})
}

func (c *Client) member(ctx context.Context, r request) (*Member, error) {
	var out struct {
		Member Member `json:"member"`
	}
	err := c.call(ctx, r, &out, func() bool { return out.Member.ID != "" })
	if err != nil {
		return nil, err
	}
	return &out.Member, nil
}
