package stytch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func op(name string, value any) fields { return fields{"filter_name": name, "filter_value": value} }

func and(operands ...fields) fields {
	if operands == nil {
		operands = []fields{}
	}
	return fields{"operator": "AND", "operands": operands}
}

func TestSearchMembers(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{SearchLimit: -1})
	one, two := b.organization("one"), b.organization("two")
	a := b.member(one, "a@corp.example", fields{"external_id": "usr_a", "roles": []string{"editor"}, "is_breakglass": true})
	z := b.member(two, "z@corp.example", fields{"external_id": "usr_a", "mfa_phone_number": "+15005550006"})
	c := b.migrate(one, "c@other.example", fields{"external_id": "usr_c"}).body["member_id"].(string)
	gone := b.member(one, "gone@corp.example")
	b.ok("DELETE", "organizations/one/members/"+gone, nil)
	tests := []struct {
		name          string
		organizations []string
		query         fields
		want          []string
	}{
		{"everything", []string{one, two, one}, nil, []string{a, z, c}},
		{"one organization, no operands", []string{one}, and(), []string{a, c}},
		{"Stytch ids", []string{one, two}, and(op("member_ids", []string{a, z})), []string{a, z}},
		{"external ids", []string{one, two}, and(op("member_ids", []string{"usr_a"})), []string{a, z}},
		{"e-mails", []string{one}, and(op("member_emails", []string{"A@corp.example", "z@corp.example"})), []string{a}},
		{"fuzzy e-mail", []string{one}, and(op("member_email_fuzzy", "OTHER")), []string{c}},
		{"break glass", []string{one}, and(op("member_is_breakglass", true)), []string{a}},
		{"password", []string{one}, and(op("member_password_exists", true)), []string{c}},
		{"two filters", []string{one}, and(op("member_password_exists", false), op("member_email_fuzzy", "other")), []string{}},
		{"deleted", []string{one}, and(op("statuses", []string{"deleted"})), []string{gone}},
		{"deleted and active", []string{one}, and(op("statuses", []string{"active", "deleted"})), []string{a, c, gone}},
		{"phone", []string{two}, and(op("member_mfa_phone_numbers", []string{"+15005550006"})), []string{z}},
		{"fuzzy phone", []string{one, two}, and(op("member_phone_number_fuzzy", "5550")), []string{z}},
		{"role", []string{one, two}, and(op("member_roles", []string{"editor"})), []string{a}},
	}
	for _, test := range tests {
		request := fields{"organization_ids": test.organizations}
		if test.query != nil {
			request["query"] = test.query
		}
		res := b.ok("POST", "organizations/members/search", request)
		if got := ids(res, "members", "member_id"); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		if total := res.object("results_metadata")["total"]; fmt.Sprint(total) != fmt.Sprint(len(test.want)) {
			t.Errorf("%s: total %v", test.name, total)
		}
		for _, m := range res.body["members"].([]any) {
			if res.object("organizations")[m.(map[string]any)["organization_id"].(string)] == nil {
				t.Errorf("%s: organizations lacks a member's", test.name)
			}
		}
	}
}

func ids(a answer, list, id string) []string {
	found := []string{}
	for _, v := range a.body[list].([]any) {
		found = append(found, v.(map[string]any)[id].(string))
	}
	return found
}

func TestSearchPages(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{SearchLimit: -1})
	org := b.organization("one")
	var members, organizations []string
	for i := range 7 {
		members = append(members, b.member(org, fmt.Sprintf("m%d@corp.example", i)))
	}
	walk := func(path, list, id string, request fields) (found []string, pages int) {
		for {
			res := b.ok("POST", path, request)
			found, pages = append(found, ids(res, list, id)...), pages+1
			next := res.object("results_metadata")["next_cursor"]
			if next == nil {
				return found, pages
			}
			// What is created or deleted between two pages shifts nothing.
			b.sim.Behind().DeleteMember(found[0])
			request["cursor"] = next
		}
	}
	found, pages := walk("organizations/members/search", "members", "member_id", fields{"organization_ids": []string{org}, "limit": 3})
	if !slices.Equal(found, members) || pages != 3 {
		t.Errorf("%d pages: %v, want %v", pages, found, members)
	}
	organizations = append(organizations, org)
	for i := range 3 {
		organizations = append(organizations, b.organization(fmt.Sprint("more", i)))
	}
	found, pages = walk("organizations/search", "organizations", "organization_id", fields{"limit": 2})
	if !slices.Equal(found, organizations) || pages != 2 {
		t.Errorf("%d pages: %v, want %v", pages, found, organizations)
	}
}

func TestSearchOrganizations(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{SearchLimit: -1, ClaimedDomains: true})
	one := b.organization("one", fields{"email_allowed_domains": []string{"corp.example"}, "email_invites": "ALL_ALLOWED"})
	two := b.organization("two", fields{"claimed_email_domains": []string{"two.example"}})
	b.member(two, "z@corp.example")
	gone := b.organization("gone")
	b.ok("DELETE", "organizations/"+gone, nil)
	tests := []struct {
		name  string
		query fields
		want  []string
	}{
		{"everything", nil, []string{one, two}},
		{"ids", and(op("organization_ids", []string{two, gone})), []string{two}},
		{"slugs", and(op("organization_slugs", []string{"ONE", "gone"})), []string{one}},
		{"fuzzy slug", and(op("organization_slug_fuzzy", "TWO")), []string{two}},
		{"fuzzy name", and(op("organization_name_fuzzy", "of one")), []string{one}},
		{"member's e-mail", and(op("member_emails", []string{"Z@corp.example"})), []string{two}},
		{"member's fuzzy e-mail", and(op("member_email_fuzzy", "z@c")), []string{two}},
		{"allowed domain", and(op("allowed_domains", []string{"Corp.example"})), []string{one}},
		{"fuzzy allowed domain", and(op("allowed_domain_fuzzy", "corp")), []string{one}},
		{"claimed domain", and(op("claimed_email_domains", []string{"two.example"})), []string{two}},
		{"no connection", and(op("has_active_sso_connection", false)), []string{one, two}},
		{"a connection", and(op("sso_connection_id", "saml-connection-test-1")), []string{}},
	}
	for _, test := range tests {
		request := fields{}
		if test.query != nil {
			request["query"] = test.query
		}
		if got := ids(b.ok("POST", "organizations/search", request), "organizations", "organization_id"); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestSearchRefusals(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{SearchLimit: -1})
	org := b.organization("one")
	members := func(more fields) fields {
		f := fields{"organization_ids": []string{org}}
		for k, v := range more {
			f[k] = v
		}
		return f
	}
	query := func(operands ...fields) fields { return fields{"query": and(operands...)} }
	const m, o = "organizations/members/search", "organizations/search"
	tests := []struct {
		path   string
		status int
		kind   string
		body   fields
	}{
		{m, 400, "member_search_organization_ids_empty", fields{}},
		{m, 404, "organization_not_found", fields{"organization_ids": []string{"one"}}},
		{m, 400, "live_id_used_in_test_environment", fields{"organization_ids": []string{"organization-live-1"}}},
		{m, 400, "user_search_invalid_limit", members(fields{"limit": 1001})},
		{m, 400, "user_search_invalid_limit", members(fields{"limit": -1})},
		{m, 400, "user_search_invalid_cursor", members(fields{"cursor": "!"})},
		{m, 400, "user_search_invalid_operator", members(fields{"query": fields{"operator": "OR", "operands": []fields{}}})},
		{m, 400, "member_search_missing_filter_name", members(query(fields{"filter_value": 1}))},
		{m, 400, "member_search_missing_filter_value", members(query(fields{"filter_name": "member_ids"}))},
		{m, 400, "member_search_filter_name_not_recognized", members(query(op("shoe_size", 44)))},
		{m, 400, "member_search_expected_array_of_strings", members(query(op("member_ids", "x")))},
		{m, 400, "member_search_expected_boolean", members(query(op("member_is_breakglass", "x")))},
		{m, 400, "member_search_expected_string", members(query(op("member_email_fuzzy", 1)))},
		{m, 400, "member_search_member_email_fuzzy_too_short", members(query(op("member_email_fuzzy", "ab")))},
		{m, 400, "member_search_member_mfa_phone_number_fuzzy_too_short", members(query(op("member_phone_number_fuzzy", "12")))},
		{m, 400, "search_invalid_status_filter", members(query(op("statuses", []string{"asleep"})))},
		{m, 400, "invalid_email", members(query(op("member_emails", []string{"x"})))},
		{m, 400, "member_search_cannot_mix_internal_and_external_member_ids", members(query(op("member_ids", []string{"member-test-1", "usr_1"})))},
		{o, 400, "organization_search_missing_filter_name", query(fields{"filter_value": 1})},
		{o, 400, "organization_search_filter_name_not_recognized", query(op("organization_external_ids", []string{"x"}))},
		{o, 400, "organization_search_expected_array_of_strings", query(op("organization_ids", true))},
		{o, 400, "organization_search_expected_boolean", query(op("has_active_sso_connection", "x"))},
		{o, 400, "organization_search_organization_slug_fuzzy_too_short", query(op("organization_slug_fuzzy", "ab"))},
		{o, 400, "organization_search_organization_name_fuzzy_too_short", query(op("organization_name_fuzzy", "ab"))},
		{o, 400, "organization_search_member_email_fuzzy_too_short", query(op("member_email_fuzzy", "ab"))},
		{o, 400, "organization_search_allowed_domain_fuzzy_too_short", query(op("allowed_domain_fuzzy", "ab"))},
		{o, 400, "user_search_invalid_operator", fields{"query": fields{"operands": []fields{}}}},
	}
	for _, test := range tests {
		b.refused(test.status, test.kind, "POST", test.path, test.body)
	}
}

func TestSearchLag(t *testing.T) {
	t.Parallel()
	var c clock
	b := newBundle(t, Options{SearchLimit: -1, SearchLag: 2 * time.Second, Now: c.now})
	org := b.organization("one")
	b.member(org, "a@corp.example")
	found := func() int {
		members := ids(b.ok("POST", "organizations/members/search", fields{"organization_ids": []string{org}}), "members", "member_id")
		return len(members) + len(ids(b.ok("POST", "organizations/search", nil), "organizations", "organization_id"))
	}
	c.advance(time.Second)
	if n := found(); n != 0 {
		t.Errorf("%d found before the lag is over", n)
	}
	b.ok("GET", "organizations/one", nil)
	c.advance(time.Second)
	if n := found(); n != 2 {
		t.Errorf("%d found after it", n)
	}
}

func TestLiveProject(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{ProjectID: "project-live-11111111-1111-4111-8111-111111111111"})
	org := b.organization("acme")
	a := b.migrate(org, "jane@corp.example")
	for _, id := range []string{org, a.text("member", "member_id"), a.text("member", "member_password_id"), a.body["request_id"].(string)} {
		if !strings.Contains(id, "-live-") {
			t.Errorf("the id %s of a live project", id)
		}
	}
	b.refused(400, "test_id_used_in_live_environment", "GET", "organizations/organization-test-1", nil)
	b.refused(400, "test_id_used_in_live_environment", "DELETE", "organizations/acme/members/passwords/member-password-test-1", nil)
	b.refused(400, "test_id_used_in_live_environment", "GET", "organizations/members/dangerously_get/member-test-1", nil)
	b.refused(400, "test_id_used_in_live_environment", "PUT", "organizations/acme/members/member-test-1/reactivate", nil)
}

// What the typed SDKs demand: every required field is there, and none is null.
func TestRequiredFields(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	a := b.migrate("acme", "jane@corp.example")
	required := map[string][]string{
		"organization": {
			"organization_id", "organization_name", "organization_logo_url", "organization_slug", "sso_jit_provisioning",
			"sso_jit_provisioning_allowed_connections", "sso_active_connections", "email_allowed_domains", "email_jit_provisioning",
			"email_invites", "auth_methods", "allowed_auth_methods", "mfa_policy", "rbac_email_implicit_role_assignments", "mfa_methods",
			"allowed_mfa_methods", "oauth_tenant_jit_provisioning", "claimed_email_domains", "first_party_connected_apps_allowed_type",
			"allowed_first_party_connected_apps", "third_party_connected_apps_allowed_type", "allowed_third_party_connected_apps", "custom_roles",
			"trusted_metadata", "created_at", "updated_at",
		},
		"member": {
			"organization_id", "member_id", "email_address", "status", "name", "sso_registrations", "is_breakglass", "member_password_id",
			"oauth_registrations", "email_address_verified", "mfa_phone_number_verified", "is_admin", "totp_registration_id",
			"retired_email_addresses", "is_locked", "mfa_enrolled", "mfa_phone_number", "default_mfa_method", "roles",
			"trusted_metadata", "untrusted_metadata", "created_at", "updated_at",
		},
	}
	for object, names := range required {
		for _, name := range names {
			if v, ok := a.object(object)[name]; !ok || v == nil {
				t.Errorf("%s.%s is missing or null", object, name)
			}
		}
	}
	if a.body["status_code"] != json.Number("200") || a.body["request_id"] == "" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("envelope: %v %v", a.body["status_code"], a.header.Get("Content-Type"))
	}
}
