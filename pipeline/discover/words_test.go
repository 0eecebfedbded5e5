package discover

import (
	"slices"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	t.Parallel()
	for identifier, want := range map[string]string{
		"users": "user", "TeamMember": "team member", "teammembers": "team member", "posthog_organizationmembership": "posthog organization membership",
		"emailVerified": "email verified", "emailverified": "email verified", "deleteat": "delete at", "schemeadmin": "scheme admin", "E-Mail": "e mail",
		"SSOProvider": "sso provider", "userID": "user id", "Company Users": "company user", "companies": "company", "people": "person", "is_admin": "is admin",
		"address": "address", "addresses": "address", "status": "status", "accounts2": "accounts2", "": "", "ünïcode": "ünïcode", "organisations": "organisation",
		"uuid": "uuid", "news": "new", "access_token": "access token",
	} {
		if got := strings.Join(words(identifier), " "); got != want {
			t.Errorf("words(%q) = %q, want %q", identifier, got, want)
		}
	}
}

// FuzzWords: no identifier makes it fail, and no word is empty or has upper case.
func FuzzWords(f *testing.F) {
	f.Add("TeamMember")
	f.Add("useruseruseruserx")
	f.Fuzz(func(t *testing.T, identifier string) {
		for _, w := range words(identifier) {
			if w == "" {
				t.Errorf("words(%q) has an empty one", identifier)
			}
		}
	})
}

func TestNameOf(t *testing.T) {
	t.Parallel()
	for database, want := range map[string]string{
		"acme": "acme", "Acme-Production": "acme_production", "2024_app": "app", "日本": "legacy", strings.Repeat("a", 50): strings.Repeat("a", 40), "": "legacy",
	} {
		if got := nameOf(database); got != want {
			t.Errorf("nameOf(%q) = %q, want %q", database, got, want)
		}
	}
}

// A name can end no comment, and is YAML's text whatever it looks like.
func TestNames(t *testing.T) {
	t.Parallel()
	if got := oneLine("a\nDROP \x1b[0m"); strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("oneLine keeps %q", got)
	}
	for name, want := range map[string]string{"id": "id", "on": "'on'", "No": "'No'", "a b": "'a b'", "it's": "'it''s'", "a: b": "'a: b'", `"Team"`: `'"Team"'`, "1": "'1'"} {
		if got := quote(name); got != want {
			t.Errorf("quote(%q) = %s, want %s", name, got, want)
		}
	}
}

// Values that may be a person's are named by nobody (invariant 8).
func TestPlain(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"ADMIN", "team_admin", "billing:read", "Team Lead", "a.b/c-d", "15"} {
		if !plain.MatchString(v) {
			t.Errorf("%q is not taken for a role", v)
		}
	}
	for _, v := range []string{"ann@corp.example", "", " x", "+4915112345678", "a\nb", strings.Repeat("x", 41), "Ünal", "$2b$10$abc", "'; --"} {
		if plain.MatchString(v) {
			t.Errorf("%q is taken for a role", v)
		}
	}
}

func TestUnique(t *testing.T) {
	t.Parallel()
	table := &Table{Uniques: [][]string{{"b", "a"}, {"c"}}}
	if !table.unique("a", "b") || !table.unique("c") || table.unique("a") || table.unique("a", "c") || table.unique("a", "b", "c") {
		t.Error("a unique index over other columns counts, or one over these in another order does not")
	}
	if !slices.Equal(split("teamuser"), []string{"team", "user"}) {
		t.Errorf("split: %v", split("teamuser"))
	}
}
