package stytch

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestOrganizationDefaults(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	o := b.ok("POST", "organizations", fields{"organization_name": "Acme", "organization_slug": "acme"}).object("organization")
	for field, want := range map[string]any{
		"email_invites": "ALL_ALLOWED", "email_jit_provisioning": "NOT_ALLOWED", "auth_methods": "ALL_ALLOWED", "mfa_policy": "OPTIONAL",
		"mfa_methods": "ALL_ALLOWED", "oauth_tenant_jit_provisioning": "NOT_ALLOWED", "sso_jit_provisioning": "ALL_ALLOWED",
		"first_party_connected_apps_allowed_type": "ALL_ALLOWED", "third_party_connected_apps_allowed_type": "ALL_ALLOWED",
	} {
		if o[field] != want {
			t.Errorf("%s = %v, want %v", field, o[field], want)
		}
	}
	// Any auth setting turns the default of email_invites.
	o = b.ok("POST", "organizations", fields{"organization_name": "B", "organization_slug": "bb", "mfa_policy": "OPTIONAL"}).object("organization")
	if o["email_invites"] != "NOT_ALLOWED" {
		t.Errorf("email_invites = %v after a setting was sent", o["email_invites"])
	}
}

func TestOrganizationIdentity(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	id := b.organization("acme", fields{"organization_external_id": "ten_1|a"})
	for _, any := range []string{id, "acme", "ACME", "ten_1|a"} {
		if got := b.ok("GET", "organizations/"+esc(any), nil).text("organization", "organization_id"); got != id {
			t.Errorf("GET by %q found %q", any, got)
		}
	}
	// hazard A14: a slug that reads like another's external id shadows it.
	other := b.organization("ten_2", fields{"organization_external_id": "x"})
	b.organization("third", fields{"organization_external_id": "ten_2"})
	if got := b.ok("GET", "organizations/ten_2", nil).text("organization", "organization_id"); got != other {
		t.Errorf("GET by a slug that is an external id found %q", got)
	}
	b.refused(400, "organization_slug_already_used", "POST", "organizations", fields{"organization_name": "x", "organization_slug": "Acme"})
	b.refused(400, "organization_external_id_already_used", "PUT", "organizations/third", fields{"organization_external_id": "ten_1|a"})
	// A new external id takes the place of the old one at once.
	b.ok("PUT", "organizations/acme", fields{"organization_external_id": "ten_9"})
	b.refused(404, "organization_not_found", "GET", "organizations/ten_1%7Ca", nil)
	if got := b.ok("DELETE", "organizations/ten_9/external_id", fields{}).object("organization")["organization_external_id"]; got != nil {
		t.Errorf("external id after its deletion: %v", got)
	}
	b.refused(404, "organization_not_found", "GET", "organizations/ten_9", nil)
	b.refused(400, "invalid_organization_id", "GET", "organizations/o%2F1", nil)
	b.refused(400, "live_id_used_in_test_environment", "GET", "organizations/organization-live-07971b06-ac8b-4cdb-9c15-63b17e653931", nil)
}

func TestOrganizationRefusals(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	domains := func(d ...string) fields { return fields{"email_allowed_domains": d} }
	tests := []struct {
		fields fields
		kind   string
	}{
		{fields{"organization_name": ""}, "invalid_organization_name"},
		{fields{"organization_name": strings.Repeat("é", 129)}, "invalid_organization_name"},
		{fields{"organization_name": "a\u200bb"}, "forbidden_character_zero_width_space"},
		{fields{"organization_name": 7}, "bad_request"},
		{fields{"organization_slug": "a"}, "invalid_organization_slug"},
		{fields{"organization_slug": "a b"}, "invalid_organization_slug"},
		{fields{"organization_slug": "-._~"}, "invalid_organization_slug"},
		{fields{"organization_slug": strings.Repeat("a", 129)}, "invalid_organization_slug"},
		{fields{"organization_external_id": ""}, "invalid_organization_external_id"},
		{fields{"organization_external_id": "a/b"}, "invalid_organization_external_id"},
		{fields{"organization_external_id": strings.Repeat("a", 129)}, "invalid_organization_external_id"},
		{fields{"organization_logo_url": "https://corp.example/" + strings.Repeat("a", 2048)}, "organization_logo_url_too_long"},
		{fields{"organization_logo_url": "logo"}, "invalid_url"},
		{fields{"sso_default_connection_id": "x"}, "invalid_sso_default_connection_id"},
		{fields{"sso_jit_provisioning": "SOME"}, "invalid_organization_auth_factor_setting"},
		{fields{"sso_jit_provisioning": "NOT_ALLOWED"}, "invalid_organization_auth_factor_setting"},
		{fields{"sso_jit_provisioning": "RESTRICTED"}, "invalid_restricted_sso_setting"},
		{fields{"email_jit_provisioning": "ALL_ALLOWED"}, "invalid_organization_auth_factor_setting_for_email_jit_provisioning"},
		{fields{"email_jit_provisioning": "RESTRICTED"}, "invalid_restricted_email_setting"},
		{fields{"email_invites": "RESTRICTED"}, "invalid_restricted_email_setting"},
		{domains("gmail.com"), "organization_settings_domain_too_common"},
		{domains("corp"), "organization_settings_invalid_domain"},
		{domains("corp.example", "CORP.example"), "organization_settings_duplicate_domain"},
		{domains("mailinator.com"), "organization_settings_disposable_domain"},
		{fields{"auth_methods": "RESTRICTED"}, "allowed_auth_methods_required_for_restricted"},
		{fields{"auth_methods": "NOT_ALLOWED"}, "invalid_organization_auth_method_settings"},
		{fields{"allowed_auth_methods": []string{"fax"}}, "invalid_organization_allowed_auth_methods"},
		{fields{"mfa_policy": "SOMETIMES"}, "invalid_organization_mfa_policy"},
		{fields{"mfa_methods": "NOT_ALLOWED"}, "invalid_organization_mfa_factor_setting"},
		{fields{"mfa_methods": "RESTRICTED"}, "allowed_mfa_methods_required_for_restricted"},
		{fields{"allowed_mfa_methods": []string{"fax"}}, "invalid_organization_allowed_mfa_methods"},
		{fields{"oauth_tenant_jit_provisioning": "ALL_ALLOWED"}, "invalid_organization_auth_factor_setting_for_oauth_tenant_jit_provisioning"},
		{fields{"oauth_tenant_jit_provisioning": "RESTRICTED"}, "invalid_restricted_oauth_tenants_setting"},
		{fields{"allowed_oauth_tenants": fields{"myspace": []string{"x"}}}, "invalid_oauth_allowed_tenants_format"},
		{fields{"rbac_email_implicit_role_assignments": []fields{{"domain": "gmail.com", "role_id": "editor"}}}, "rbac_domain_too_common"},
		{fields{"rbac_email_implicit_role_assignments": []fields{{"domain": "x", "role_id": "editor"}}}, "rbac_invalid_domain"},
		{fields{"rbac_email_implicit_role_assignments": []fields{{"domain": "corp.example", "role_id": "nobody"}}}, "invalid_role"},
		{fields{"claimed_email_domains": []string{"corp.example"}}, "claimed_email_domains_not_supported"},
		{fields{"trusted_metadata": []int{1}}, "metadata_invalid_format"},
	}
	id := b.organization("acme")
	before := fmt.Sprint(b.ok("GET", "organizations/"+id, nil).object("organization"))
	for _, test := range tests {
		create := fields{"organization_name": "x", "organization_slug": "xx"}
		for k, v := range test.fields {
			create[k] = v
		}
		b.refused(400, test.kind, "POST", "organizations", create)
		if _, needsInvites := test.fields["sso_jit_provisioning"]; !needsInvites {
			b.refused(400, test.kind, "PUT", "organizations/"+id, test.fields)
		}
	}
	b.refused(400, "organization_name_missing", "POST", "organizations", fields{"organization_slug": "xx"})
	if after := fmt.Sprint(b.ok("GET", "organizations/"+id, nil).object("organization")); after != before {
		t.Errorf("a refused update had an effect:\n%s\n%s", before, after)
	}
}

func TestOrganizationSettings(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	id := b.organization("acme", fields{"email_allowed_domains": []string{"Corp.Example"}, "email_invites": "RESTRICTED"})
	o := b.ok("PUT", "organizations/"+id, fields{
		"auth_methods": "RESTRICTED", "allowed_auth_methods": []string{"sso", "password"},
		"allowed_oauth_tenants": fields{"slack": []string{"T1"}}, "oauth_tenant_jit_provisioning": "RESTRICTED",
		"organization_name": nil, "organization_id": "ignored", "unknown": true,
	}).object("organization")
	if got := fmt.Sprint(o["email_allowed_domains"], o["allowed_auth_methods"], o["organization_name"]); got != "[corp.example] [sso password]Name of acme" {
		t.Errorf("after the update: %s", got)
	}
	o = b.ok("PUT", "organizations/"+id, fields{"allowed_auth_methods": []string{"magic_link"}}).object("organization")
	if got := fmt.Sprint(o["allowed_auth_methods"]); got != "[magic_link]" {
		t.Errorf("a list was not replaced: %s", got)
	}
}

func TestOrganizationDelete(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		b := newBundle(t, Options{KeepSlugOnDelete: keep, KeepOrganizationExternalIDOnDelete: keep, DeleteAgainOK: keep})
		id := b.organization("acme", fields{"organization_external_id": "ten_1"})
		m := b.member(id, "a@corp.example")
		if n := b.ok("GET", "organizations/acme/metrics", nil).body["member_count"]; fmt.Sprint(n) != "1" {
			t.Errorf("member_count = %v", n)
		}
		if got := b.ok("DELETE", "organizations/ten_1", fields{}).body["organization_id"]; got != id {
			t.Errorf("DELETE answered %v", got)
		}
		b.refused(404, "organization_not_found", "GET", "organizations/"+id, nil)
		b.refused(404, "organization_not_found", "GET", "organizations/"+id+"/member?member_id="+m, nil)
		b.refused(404, "member_not_found", "GET", "organizations/members/dangerously_get/"+m, nil)
		gone := b.ok("GET", "organizations/members/dangerously_get/"+m+"?include_deleted=true", nil)
		if gone.text("member", "status") != "deleted" {
			t.Errorf("the member of a deleted organization is %q", gone.text("member", "status"))
		}
		again := fields{"organization_name": "x", "organization_slug": "acme"}
		againID := fields{"organization_name": "x", "organization_slug": "other", "organization_external_id": "ten_1"}
		if keep {
			b.refused(400, "organization_slug_already_used", "POST", "organizations", again)
			b.refused(400, "organization_external_id_already_used", "POST", "organizations", againID)
			b.ok("DELETE", "organizations/"+id, nil)
			b.ok("DELETE", "organizations/"+id+"/external_id", nil)
			b.ok("POST", "organizations", againID)
			continue
		}
		b.ok("POST", "organizations", again)
		b.ok("POST", "organizations", againID)
		b.refused(404, "organization_not_found", "DELETE", "organizations/"+id, nil)
	}
}

func TestOrganizationSlugDerived(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	slugs := []string{}
	for range 2 {
		o := b.ok("POST", "organizations", fields{"organization_name": "Äcme & Co"}).object("organization")
		slugs = append(slugs, o["organization_slug"].(string))
	}
	if want := []string{"cme---co", "cme---co-2"}; !slices.Equal(slugs, want) {
		t.Errorf("derived slugs %v, want %v", slugs, want)
	}
	strict := newBundle(t, Options{RequireSlug: true})
	strict.refused(400, "invalid_organization_slug", "POST", "organizations", fields{"organization_name": "x"})
}

func TestClaimedDomains(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{ClaimedDomains: true})
	owner := b.organization("owner", fields{"claimed_email_domains": []string{"corp.example"}})
	other := b.organization("other")
	b.refused(400, "organization_settings_duplicate_claimed_domain", "PUT", "organizations/"+other, fields{"claimed_email_domains": []string{"corp.example"}})
	b.refused(400, "action_not_allowed_email_domain_is_claimed", "POST", "organizations/"+other+"/members", fields{"email_address": "a@corp.example"})
	if a := b.migrate(other, "a@corp.example"); a.body["error_type"] != "action_not_allowed_email_domain_is_claimed" {
		t.Errorf("migrate of a claimed domain: %v", a.body["error_type"])
	}
	b.member(owner, "a@corp.example")
	b.ok("PUT", "organizations/"+owner, fields{"claimed_email_domains": []string{}})
	b.member(other, "a@corp.example")
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	id := b.organization("acme", fields{"trusted_metadata": fields{"a": 1, "b": fields{"c": 1, "d": 2}, "gone": nil}})
	update := func(m any) any {
		return b.ok("PUT", "organizations/"+id, fields{"trusted_metadata": m}).object("organization")["trusted_metadata"]
	}
	if got := fmt.Sprint(update(fields{"b": fields{"e": 3}, "big": 9007199254740993})); got != "map[a:1 b:map[e:3] big:9007199254740993]" {
		t.Errorf("merged: %s", got)
	}
	if got := fmt.Sprint(update(fields{"a": nil, "b": nil, "big": nil})); got != "map[]" {
		t.Errorf("cleared: %s", got)
	}
	full := fields{}
	for i := range 20 {
		full[fmt.Sprint("k", i)] = i
	}
	update(full)
	path := "organizations/" + id
	b.refused(400, "metadata_too_many_keys", "PUT", path, fields{"trusted_metadata": fields{"one": "more"}})
	update(fields{"k0": nil, "one": "more"}) // the limit is on the merged object
	b.refused(400, "metadata_too_large", "PUT", path, fields{"trusted_metadata": fields{"k1": strings.Repeat("x", 4096)}})
	b.refused(400, "metadata_invalid_format", "PUT", path, fields{"trusted_metadata": "text"})
}

func TestRoutesAndCredentials(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.refused(404, "route_not_found", "GET", "organization", nil)
	b.refused(404, "route_not_found", "POST", "passwords/strength_check", fields{})
	b.refused(405, "method_not_allowed", "PATCH", "organizations/x", fields{})
	b.refused(405, "method_not_allowed", "GET", "passwords/migrate", nil)
	for body, kind := range map[string]string{"[1]": "bad_request", "{": "bad_request", `"x"`: "bad_request", "": "organization_name_missing", "{}": "organization_name_missing", `{"Organization_Name":"x"}`: "organization_name_missing"} {
		a, err := b.request(t.Context(), "POST", "/v1/b2b/organizations", body)
		if err != nil || a.body["error_type"] != kind {
			t.Errorf("body %q: %v %v, want %s", body, a.body["error_type"], err, kind)
		}
	}
	tests := []struct {
		name   string
		header func(*http.Request)
		status int
		kind   string
	}{
		{"no credentials", func(*http.Request) {}, 400, "invalid_authorization_header"},
		{"wrong secret", func(r *http.Request) { r.SetBasicAuth(testProject, "wrong") }, 401, "unauthorized_credentials"},
		{"other project", func(r *http.Request) { r.SetBasicAuth("project-test-other", testSecret) }, 401, "unauthorized_credentials"},
		{"as a member", func(r *http.Request) {
			r.SetBasicAuth(testProject, testSecret)
			r.Header.Set("X-Stytch-Member-Session", "token")
		}, 403, "session_authorization_error"},
	}
	for _, test := range tests {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+"/v1/b2b/organizations/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		test.header(r)
		a, err := send(b.server.Client(), r)
		if err != nil || a.status != test.status || a.body["error_type"] != test.kind {
			t.Errorf("%s: %d %v %v", test.name, a.status, a.body["error_type"], err)
		}
	}
	// The keys are public, and some SDKs ask with two slashes.
	for path, status := range map[string]int{"//v1/b2b/sessions/jwks/" + testProject: 200, "/v1/b2b/sessions/jwks/other": 404} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := send(b.server.Client(), r); err != nil || a.status != status {
			t.Errorf("GET %s: %d %v", path, a.status, err)
		}
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	roles := []any{}
	for _, r := range b.ok("GET", "rbac/policy", nil).object("policy")["roles"].([]any) {
		roles = append(roles, r.(map[string]any)["role_id"])
	}
	if got := fmt.Sprint(roles); got != "[stytch_member stytch_admin editor viewer]" {
		t.Errorf("roles of the policy: %s", got)
	}
	b.organization("acme")
	if got := b.ok("GET", "rbac/organizations/acme", nil).object("org_policy")["roles"]; fmt.Sprint(got) != "[]" {
		t.Errorf("roles of the organization's policy: %v", got)
	}
}
