package stytch

import "testing"

// Where the policy is not known, every role is taken.
func TestAnyRole(t *testing.T) {
	t.Parallel()
	for every, want := range map[bool]int{false: 400, true: 200} {
		b := newBundle(t, Options{AnyRole: every})
		got := b.do("POST", "organizations/"+b.organization("a-slug")+"/members", map[string]any{"email_address": "a@corp.example", "roles": []string{"nobody"}})
		if got.status != want {
			t.Errorf("any role %t: %v", every, got.body)
		}
	}
}

func TestEndpointsHaveTheirCalls(t *testing.T) {
	t.Parallel()
	for e, want := range map[Endpoint]string{
		PasswordsMigrate: "POST /v1/b2b/passwords/migrate",
		MembersGet:       "GET /v1/b2b/organizations/{organization}/member",
		Endpoint("none"): "",
	} {
		if got := e.Call(); got != want {
			t.Errorf("%s is %q, want %q", e, got, want)
		}
	}
	if !MembersCreate.Writes() || MembersSearch.Writes() {
		t.Error("who writes is mixed up")
	}
}
