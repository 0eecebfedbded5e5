package stytch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestMemberCreate(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	org := b.organization("acme", fields{"organization_external_id": "ten_1"})
	a := b.ok("POST", "organizations/ten_1/members", fields{
		"email_address": " Jane@Corp.Example ", "name": "Jäne", "roles": []string{"editor", "editor"}, "external_id": "usr_1|x",
		"mfa_phone_number": "+15005550006", "is_breakglass": true, "mfa_enrolled": true, "default_mfa_method": "ignored",
		"trusted_metadata": fields{"k": "v"}, "untrusted_metadata": fields{"u": 1},
	})
	m := a.object("member")
	for field, want := range map[string]any{
		"organization_id": org, "email_address": "jane@corp.example", "status": "active", "name": "Jäne", "external_id": "usr_1|x",
		"mfa_phone_number": "+15005550006", "is_breakglass": true, "mfa_enrolled": true, "email_address_verified": false,
		"member_password_id": "", "is_admin": false, "default_mfa_method": "",
	} {
		if m[field] != want {
			t.Errorf("%s = %v, want %v", field, m[field], want)
		}
	}
	if got := roleIDs(m); !slices.Equal(got, []string{"stytch_member", "editor"}) {
		t.Errorf("roles %v", got)
	}
	if got := fmt.Sprint(m["trusted_metadata"], m["untrusted_metadata"]); got != "map[k:v] map[u:1]" {
		t.Errorf("metadata %s", got)
	}
	if a.body["member_id"] != m["member_id"] || a.text("organization", "organization_id") != org {
		t.Error("the answer lacks member_id or organization")
	}
	pending := b.ok("POST", "organizations/acme/members", fields{"email_address": "p@corp.example", "create_member_as_pending": true, "roles": []string{"stytch_admin"}})
	if got := pending.object("member"); got["status"] != "pending" || got["is_admin"] != true {
		t.Errorf("pending admin: status %v, is_admin %v", got["status"], got["is_admin"])
	}
}

func roleIDs(m map[string]any) []string {
	ids := []string{}
	for _, r := range m["roles"].([]any) {
		ids = append(ids, r.(map[string]any)["role_id"].(string))
	}
	return ids
}

func TestMemberRefusals(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	org := b.organization("acme")
	b.member(org, "taken@corp.example", fields{"external_id": "taken", "mfa_phone_number": "+15005550001"})
	id := b.member(org, "jane@corp.example")
	tests := []struct {
		fields fields
		kind   string
	}{
		{fields{"email_address": "TAKEN@corp.example"}, "duplicate_member_email"},
		{fields{"email_address": "no address"}, "invalid_email"},
		{fields{"email_address": "a@corp"}, "invalid_email"},
		{fields{"email_address": "a..b@corp.example"}, "invalid_email"},
		{fields{"email_address": "é@corp.example"}, "invalid_email"},
		{fields{"external_id": "taken"}, "duplicate_member_external_id"},
		{fields{"external_id": ""}, "bad_request"},
		{fields{"external_id": "a b"}, "bad_request"},
		{fields{"external_id": strings.Repeat("a", 129)}, "bad_request"},
		{fields{"mfa_phone_number": "+15005550001"}, "duplicate_member_phone_number"},
		{fields{"mfa_phone_number": "5005550001"}, "invalid_phone_number"},
		{fields{"roles": []string{"nobody"}}, "invalid_role"},
		{fields{"roles": []string{"stytch_member"}}, "cannot_assign_default_rbac_role_id"},
		{fields{"roles": "editor"}, "bad_request"},
		{fields{"name": "a\u200bb"}, "forbidden_character_zero_width_space"},
		{fields{"trusted_metadata": "x"}, "metadata_invalid_format"},
		{fields{"untrusted_metadata": 1}, "metadata_invalid_format"},
		{fields{"is_breakglass": "yes"}, "bad_request"},
	}
	for _, test := range tests {
		create := fields{"email_address": "new@corp.example"}
		for k, v := range test.fields {
			create[k] = v
		}
		b.refused(400, test.kind, "POST", "organizations/acme/members", create)
		b.refused(400, test.kind, "PUT", "organizations/acme/members/"+id, test.fields)
	}
	b.refused(400, "bad_request", "POST", "organizations/acme/members", fields{})
	b.refused(404, "organization_not_found", "POST", "organizations/none/members", fields{"email_address": "a@corp.example"})
	b.refused(404, "member_not_found", "PUT", "organizations/acme/members/none", fields{})
	b.refused(400, "live_id_used_in_test_environment", "PUT", "organizations/acme/members/member-live-1", fields{})
	b.refused(400, "invalid_mfa_default_method", "PUT", "organizations/acme/members/"+id, fields{"default_mfa_method": "fax"})
	b.refused(400, "default_mfa_member_missing_factor", "PUT", "organizations/acme/members/"+id, fields{"default_mfa_method": "sms_otp"})
	if n := b.ok("GET", "organizations/acme/metrics", nil).body["member_count"]; fmt.Sprint(n) != "2" {
		t.Errorf("%v members after refused creations", n)
	}
	// The same address and external id are free in another organization.
	b.member(b.organization("other"), "taken@corp.example", fields{"external_id": "taken"})
}

func TestMemberGet(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	id := b.member("acme", "jane+x@corp.example", fields{"external_id": "usr|1"})
	for _, query := range []string{"member_id=" + id, "member_id=usr%7C1", "email_address=Jane%2Bx@corp.example", "member_id=" + id + "&organization_id=redundant"} {
		if got := b.ok("GET", "organizations/acme/member?"+query, nil).body["member_id"]; got != id {
			t.Errorf("GET member?%s found %v", query, got)
		}
	}
	b.refused(400, "invalid_member_get_fields", "GET", "organizations/acme/member", nil)
	b.refused(400, "invalid_member_get_fields", "GET", "organizations/acme/member?member_id=x&email_address=a@corp.example", nil)
	b.refused(404, "member_not_found", "GET", "organizations/acme/member?email_address=b@corp.example", nil)
	b.refused(400, "invalid_email", "GET", "organizations/acme/member?email_address=b", nil)
	b.organization("other")
	b.refused(404, "member_not_found", "GET", "organizations/other/member?member_id="+id, nil)
	// External ids in every path that takes a member, and not in dangerously_get.
	b.refused(404, "member_not_found", "GET", "organizations/members/dangerously_get/usr%7C1", nil)
	b.ok("GET", "organizations/members/dangerously_get/"+id, nil)
	b.ok("PUT", "organizations/acme/members/usr%7C1", fields{"name": "J"})
	b.ok("PUT", "organizations/acme/members/usr%7C1", fields{"mfa_phone_number": "+15005550006"})
	b.ok("DELETE", "organizations/acme/members/mfa_phone_numbers/usr%7C1", fields{})
	b.ok("DELETE", "organizations/acme/members/usr%7C1/external_id", fields{})
	b.refused(404, "member_not_found", "DELETE", "organizations/acme/members/usr%7C1", fields{})
}

func TestMemberUpdate(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	id := b.member("acme", "jane@corp.example", fields{"name": "Jane", "roles": []string{"editor"}, "mfa_enrolled": true, "is_breakglass": true})
	path := "organizations/acme/members/" + id
	m := b.ok("PUT", path, fields{"name": nil, "roles": nil, "mfa_enrolled": false, "is_breakglass": false}).object("member")
	if m["name"] != "Jane" || len(roleIDs(m)) != 2 || m["mfa_enrolled"] != false || m["is_breakglass"] != false {
		t.Errorf("null is not absence, or false was not taken: %v %v", m["name"], roleIDs(m))
	}
	m = b.ok("PUT", path, fields{"name": "", "roles": []string{}}).object("member")
	if m["name"] != "" || len(roleIDs(m)) != 1 {
		t.Errorf("empty values were not taken: %v %v", m["name"], roleIDs(m))
	}
	b.ok("PUT", path, fields{"mfa_phone_number": "+15005550006", "default_mfa_method": "sms_otp"})
	b.refused(400, "duplicate_member_phone_number_for_member", "PUT", path, fields{"mfa_phone_number": "+15005550007"})
	m = b.ok("DELETE", "organizations/acme/members/mfa_phone_numbers/"+id, nil).object("member")
	if m["mfa_phone_number"] != "" || m["default_mfa_method"] != "" {
		t.Errorf("after the phone's deletion: %v %v", m["mfa_phone_number"], m["default_mfa_method"])
	}
	b.refused(404, "member_phone_number_not_found", "DELETE", "organizations/acme/members/mfa_phone_numbers/"+id, nil)
	// A phone that was given up, or whose member is deleted, is free for others.
	other := b.member("acme", "john@corp.example", fields{"mfa_phone_number": "+15005550006"})
	b.ok("DELETE", "organizations/acme/members/"+other, nil)
	b.ok("PUT", path, fields{"mfa_phone_number": "+15005550006"})
}

// The address that a member gives up is retired: nobody else may take it.
func TestMemberEmailChange(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	id := b.migrate("acme", "old@corp.example").body["member_id"].(string)
	path := "organizations/acme/members/" + id
	m := b.ok("PUT", path, fields{"email_address": "OLD@corp.example"}).object("member")
	if m["member_password_id"] == "" || m["email_address_verified"] != true {
		t.Error("the same address cleared the password")
	}
	m = b.ok("PUT", path, fields{"email_address": "new@corp.example"}).object("member")
	if m["member_password_id"] != "" || m["email_address_verified"] != false {
		t.Error("a new address kept the password or the verification")
	}
	retired := m["retired_email_addresses"].([]any)[0].(map[string]any)
	if retired["email_address"] != "old@corp.example" || !strings.HasPrefix(retired["email_id"].(string), "email-test-") {
		t.Errorf("retired: %v", retired)
	}
	create := fields{"email_address": "old@corp.example"}
	b.refused(400, "retired_member_email", "POST", "organizations/acme/members", create)
	if a := b.migrate("acme", "old@corp.example"); a.body["error_type"] != "retired_member_email" {
		t.Errorf("migrate to a retired address: %v", a.body["error_type"])
	}
	b.refused(404, "member_not_found", "GET", "organizations/acme/member?email_address=old@corp.example", nil)
	// Its own retired address comes back.
	m = b.ok("PUT", path, fields{"email_address": "old@corp.example"}).object("member")
	if got := fmt.Sprint(m["retired_email_addresses"]); !strings.Contains(got, "new@corp.example") || strings.Contains(got, "old@corp.example") {
		t.Errorf("retired after the way back: %s", got)
	}
	unlink := path + "/unlink_retired_email"
	b.refused(400, "retired_email_missing_email_identifiers", "POST", unlink, fields{})
	b.refused(404, "email_not_found", "POST", unlink, fields{"email_address": "other@corp.example"})
	b.refused(404, "email_not_found", "POST", unlink, fields{"email_address": "new@corp.example", "email_id": "email-test-other"})
	b.ok("POST", unlink, fields{"email_address": "New@corp.example"})
	other := b.member("acme", "new@corp.example")
	// unlink_email frees the old address at once.
	b.ok("PUT", "organizations/acme/members/"+other, fields{"email_address": "third@corp.example", "unlink_email": true})
	b.member("acme", "new@corp.example")
	// The deletion frees all of a member's addresses.
	b.ok("PUT", path, fields{"email_address": "last@corp.example"})
	b.ok("DELETE", path, nil)
	b.member("acme", "last@corp.example")
	b.member("acme", "old@corp.example")
}

func TestSameEmailClearsPassword(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{SameEmailClearsPassword: true})
	b.organization("acme")
	id := b.migrate("acme", "a@corp.example").body["member_id"].(string)
	if m := b.ok("PUT", "organizations/acme/members/"+id, fields{"email_address": "a@corp.example"}).object("member"); m["member_password_id"] != "" {
		t.Error("the same address kept the password")
	}
}

func TestMemberDeleteAndReactivate(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	a := b.migrate("acme", "jane@corp.example", fields{"external_id": "usr_1", "roles": []string{"editor"}, "name": "Jane", "mfa_phone_number": "+15005550006"})
	id := a.body["member_id"].(string)
	path := "organizations/acme/members/" + id
	b.refused(404, "no_deleted_member_found_for_reactivation", "PUT", path+"/reactivate", fields{})
	if got := b.ok("DELETE", "organizations/acme/members/usr_1", fields{}); got.body["member_id"] != id || got.body["member"] != nil {
		t.Errorf("DELETE answered %v", got.body)
	}
	b.refused(404, "member_not_found", "DELETE", path, nil)
	b.refused(404, "member_not_found", "PUT", path, fields{"name": "x"})
	b.refused(404, "member_not_found", "GET", "organizations/acme/member?member_id="+id, nil)
	b.refused(404, "member_not_found", "GET", "organizations/acme/member?email_address=jane@corp.example", nil)
	b.refused(404, "member_not_found", "PUT", "organizations/acme/members/usr_1/reactivate", fields{})
	m := b.ok("PUT", path+"/reactivate", fields{}).object("member")
	if m["status"] != "active" || m["name"] != "Jane" || len(roleIDs(m)) != 2 || m["external_id"] != "usr_1" || m["email_address_verified"] != true {
		t.Errorf("reactivated: %v", m["status"])
	}
	if m["member_password_id"] != "" || m["mfa_phone_number"] != "" {
		t.Error("a factor survived the deletion")
	}
	// Re-creation takes address and external id, and has another id.
	b.ok("DELETE", path, nil)
	again := b.member("acme", "jane@corp.example", fields{"external_id": "usr_1"})
	if again == id {
		t.Error("the new member has the old one's id")
	}
	b.refused(400, "reactivation_email_belongs_to_another_member", "PUT", path+"/reactivate", fields{})
	b.ok("DELETE", "organizations/acme/members/"+again, nil)
	b.refused(400, "email_unverified_for_reactivation", "PUT", "organizations/acme/members/"+again+"/reactivate", fields{})
	b.member("acme", "john@corp.example", fields{"external_id": "usr_1"})
	if m := b.ok("PUT", path+"/reactivate", nil).object("member"); m["external_id"] != nil {
		t.Errorf("reactivated with an external id that is another's: %v", m["external_id"])
	}
}

// A retired address that another member took meanwhile stays with that member.
func TestReactivateWithTakenRetiredEmail(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	id := b.member("acme", "old@corp.example")
	path := "organizations/acme/members/" + id
	b.ok("PUT", path, fields{"email_address": "older@corp.example"})
	b.ok("PUT", path, fields{"email_address": "new@corp.example"})
	b.migrate("acme", "new@corp.example")
	b.ok("DELETE", path, nil)
	b.member("acme", "old@corp.example")
	m := b.ok("PUT", path+"/reactivate", nil).object("member")
	if got := fmt.Sprint(m["retired_email_addresses"]); strings.Contains(got, "old@") || !strings.Contains(got, "older@") {
		t.Errorf("retired addresses after the reactivation: %s", got)
	}
}

func TestKeepOnDelete(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{KeepExternalIDOnDelete: true, KeepPasswordOnDelete: true, DeleteAgainOK: true})
	b.organization("acme")
	a := b.migrate("acme", "jane@corp.example", fields{"external_id": "usr_1"})
	path := "organizations/acme/members/" + a.body["member_id"].(string)
	b.ok("DELETE", path, nil)
	b.ok("DELETE", path, nil)
	b.refused(404, "member_not_found", "GET", "organizations/acme/member?member_id=usr_1", nil)
	b.refused(400, "duplicate_member_external_id", "POST", "organizations/acme/members", fields{"email_address": "b@corp.example", "external_id": "usr_1"})
	if m := b.ok("PUT", path+"/reactivate", nil).object("member"); m["member_password_id"] != a.text("member", "member_password_id") {
		t.Error("the password did not come back")
	}
	b.ok("DELETE", path, nil)
	b.ok("DELETE", path+"/external_id", fields{})
	b.member("acme", "b@corp.example", fields{"external_id": "usr_1"})
}

func TestImplicitRoles(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme", fields{"rbac_email_implicit_role_assignments": []fields{{"domain": "Corp.Example", "role_id": "viewer"}, {"domain": "corp.example", "role_id": "editor"}}})
	id := b.member("acme", "jane@corp.example", fields{"roles": []string{"editor"}})
	a := b.ok("GET", "organizations/acme/member?member_id="+id, nil)
	got := fmt.Sprint(a.object("member")["roles"])
	want := "[map[role_id:stytch_member sources:[map[details:map[] type:direct_assignment]]]" +
		" map[role_id:editor sources:[map[details:map[] type:direct_assignment] map[details:map[email_domain:corp.example] type:email_assignment]]]" +
		" map[role_id:viewer sources:[map[details:map[email_domain:corp.example] type:email_assignment]]]]"
	if got != want {
		t.Errorf("roles\n%s, want\n%s", got, want)
	}
}
