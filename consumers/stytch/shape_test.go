package stytch

import (
	"context"
	"io"
	"net/http"
	"testing"
)

const (
	memberAnswer       = `{"status_code":200,"request_id":"r","member_id":"member-test-1","member":{"member_id":"member-test-1"}}`
	organizationAnswer = `{"status_code":200,"request_id":"r","organization":{"organization_id":"organization-test-1"}}`
	deletedAnswer      = `{"status_code":200,"request_id":"r"}`
)

// TestRequests pins method, path, query and body of every call.
func TestRequests(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, tt := range []struct {
		name, want, answer string
		call               func(*Client) error
	}{
		{
			"create organization", `POST /v1/b2b/organizations {"organization_name":"A & B"}`, organizationAnswer,
			func(c *Client) error { return second(c.CreateOrganization(ctx, Fields{"organization_name": "A & B"})) },
		},
		{
			"get organization", `GET /v1/b2b/organizations/o%7C1 `, organizationAnswer,
			func(c *Client) error { return second(c.GetOrganization(ctx, "o|1")) },
		},
		{
			"update organization", `PUT /v1/b2b/organizations/o {"email_allowed_domains":[],"trusted_metadata":{"plan":null}}`, organizationAnswer,
			func(c *Client) error {
				return second(c.UpdateOrganization(ctx, "o", Fields{"email_allowed_domains": []string{}, "trusted_metadata": map[string]any{"plan": nil}}))
			},
		},
		{
			"delete organization", `DELETE /v1/b2b/organizations/o `, deletedAnswer,
			func(c *Client) error { return c.DeleteOrganization(ctx, "o") },
		},
		{
			"delete organization external id", `DELETE /v1/b2b/organizations/o/external_id `, organizationAnswer,
			func(c *Client) error { return second(c.DeleteOrganizationExternalID(ctx, "o")) },
		},
		{
			"search organizations", `POST /v1/b2b/organizations/search {"cursor":"c","limit":7,"query":{"operands":[{"filter_name":"organization_slugs","filter_value":["s"]}],"operator":"AND"}}`,
			`{"organizations":[],"results_metadata":{"total":0,"next_cursor":null}}`,
			func(c *Client) error {
				return second(c.SearchOrganizations(ctx, OrganizationSearch{Slugs: []string{"s"}, Cursor: "c", Limit: 7}))
			},
		},
		{
			"create member", `POST /v1/b2b/organizations/o/members {"email_address":"ann@example.com","is_breakglass":false,"roles":[]}`, memberAnswer,
			func(c *Client) error {
				return second(c.CreateMember(ctx, "o", Fields{"email_address": "ann@example.com", "is_breakglass": false, "roles": []string{}}))
			},
		},
		{
			"get member", `GET /v1/b2b/organizations/o/member?member_id=u%7C2f7 `, memberAnswer,
			func(c *Client) error { return second(c.GetMember(ctx, "o", "u|2f7")) },
		},
		{
			"get member by email", `GET /v1/b2b/organizations/o/member?email_address=ann%2Bx%40example.com `, memberAnswer,
			func(c *Client) error { return second(c.GetMemberByEmail(ctx, "o", "ann+x@example.com")) },
		},
		{
			"dangerously get member", `GET /v1/b2b/organizations/members/dangerously_get/m?include_deleted=true `, memberAnswer,
			func(c *Client) error { return second(c.DangerouslyGetMember(ctx, "m", true)) },
		},
		{
			"update member", `PUT /v1/b2b/organizations/o/members/m {"name":""}`, memberAnswer,
			func(c *Client) error { return second(c.UpdateMember(ctx, "o", "m", Fields{"name": ""})) },
		},
		{
			"update member with nothing", `PUT /v1/b2b/organizations/o/members/m {}`, memberAnswer,
			func(c *Client) error { return second(c.UpdateMember(ctx, "o", "m", nil)) },
		},
		{
			"delete member", `DELETE /v1/b2b/organizations/o/members/a%2Fb `, deletedAnswer,
			func(c *Client) error { return c.DeleteMember(ctx, "o", "a/b") },
		},
		{
			"reactivate member", `PUT /v1/b2b/organizations/o/members/m/reactivate {}`, memberAnswer,
			func(c *Client) error { return second(c.ReactivateMember(ctx, "o", "m")) },
		},
		{
			"search members", `POST /v1/b2b/organizations/members/search {"organization_ids":["o"],"query":{"operands":[{"filter_name":"member_ids","filter_value":["m"]},{"filter_name":"statuses","filter_value":["deleted"]}],"operator":"AND"}}`,
			`{"members":[],"organizations":{},"results_metadata":{"total":0,"next_cursor":null}}`,
			func(c *Client) error {
				return second(c.SearchMembers(ctx, MemberSearch{OrganizationIDs: []string{"o"}, MemberIDs: []string{"m"}, Statuses: []string{StatusDeleted}}))
			},
		},
		{
			"delete phone", `DELETE /v1/b2b/organizations/o/members/mfa_phone_numbers/m `, memberAnswer,
			func(c *Client) error { return second(c.DeleteMFAPhone(ctx, "o", "m")) },
		},
		{
			"delete member external id", `DELETE /v1/b2b/organizations/o/members/m/external_id `, memberAnswer,
			func(c *Client) error { return second(c.DeleteMemberExternalID(ctx, "o", "m")) },
		},
		{
			"unlink", `POST /v1/b2b/organizations/o/members/m/unlink_retired_email {"email_address":"old@example.com"}`, memberAnswer,
			func(c *Client) error { return second(c.UnlinkRetiredEmail(ctx, "o", "m", "old@example.com")) },
		},
		{
			"migrate", `POST /v1/b2b/passwords/migrate {"hash_type":"bcrypt"}`, memberAnswer,
			func(c *Client) error { return second(c.MigratePassword(ctx, Fields{"hash_type": "bcrypt"})) },
		},
		{
			"delete password", `DELETE /v1/b2b/organizations/o/members/passwords/p `, deletedAnswer,
			func(c *Client) error { return c.DeletePassword(ctx, "o", "p") },
		},
		{
			"authenticate", `POST /v1/b2b/passwords/authenticate {"email_address":"ann@example.com","organization_id":"o","password":"pw"}`, memberAnswer,
			func(c *Client) error { return second(c.AuthenticatePassword(ctx, "o", "ann@example.com", "pw")) },
		},
		{
			"policy", `GET /v1/b2b/rbac/policy `, `{"policy":{"roles":[]}}`,
			func(c *Client) error { return second(c.RBACPolicy(ctx)) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				for len(body) > 0 && body[len(body)-1] == '\n' {
					body = body[:len(body)-1]
				}
				got <- r.Method + " " + r.RequestURI + " " + string(body)
				user, pass, _ := r.BasicAuth()
				if user != "project-test-1" || pass != "secret-1" || r.Header.Get("User-Agent") != "backstitch" || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("headers: %v", r.Header)
				}
				answer(200, tt.answer)(w, r)
			})
			if err := tt.call(c); err != nil {
				t.Fatal(err)
			}
			if s := <-got; s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

func TestDecodesObjects(t *testing.T) {
	t.Parallel()
	c := serve(t, answer(200, `{"member":{"member_id":"m","organization_id":"o","external_id":"u1","email_address":"ann@example.com",
		"email_address_verified":true,"status":"active","name":"Ann","member_password_id":"p","retired_email_addresses":[{"email_id":"e","email_address":"old@example.com"}],
		"trusted_metadata":{"n":9007199254740993},"roles":[{"role_id":"stytch_member","sources":[{"type":"direct_assignment","details":{}}]},
		{"role_id":"admin","sources":[{"type":"sso_connection","details":{}},{"type":"direct_assignment","details":{}}]},
		{"role_id":"viewer","sources":[{"type":"email_assignment","details":{"email_domain":"example.com"}}]}],
		"is_breakglass":true,"mfa_enrolled":true,"mfa_phone_number":"+15005550006","created_at":"2026-01-02T03:04:05Z","unknown":[1]}}`))
	m, err := c.GetMember(context.Background(), "o", "m")
	if err != nil {
		t.Fatal(err)
	}
	if got := m.DirectRoles(); len(got) != 1 || got[0] != "admin" {
		t.Errorf("direct roles %v: want only what was assigned directly, without stytch_member", got)
	}
	if n := m.TrustedMetadata["n"]; n != number("9007199254740993") {
		t.Errorf("metadata number %v (%T): a float would have lost its last digit", n, n)
	}
	if m.ExternalID != "u1" || m.PasswordID != "p" || !m.EmailVerified || m.RetiredEmails[0].EmailID != "e" || m.CreatedAt.Year() != 2026 {
		t.Errorf("fields were lost: %+v", m)
	}
}
