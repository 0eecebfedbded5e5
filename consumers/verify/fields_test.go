package verify

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// jsonOf reads an object as the ledger's states are read: numbers keep their digits.
func jsonOf(t *testing.T, raw string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The rules by which a member's fields are compared, from Stytch's documentation.
func TestMemberFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, desired, written, there string
		want                          []string
	}{
		{"an address in another case", `{"email_address": " Ann@Corp.Example "}`, ``, `{"email_address": "ann@corp.example"}`, nil},
		{"another address", `{"email_address": "ann@corp.example"}`, ``, `{"email_address": "bob@corp.example"}`, []string{"email_address"}},
		{"no name", `{"name": null}`, ``, `{"name": ""}`, nil},
		{"a name that should be none", `{"name": null}`, ``, `{"name": "Ann"}`, []string{"name"}},
		{"a column that the mapping lacks", `{}`, ``, `{"name": "Ann", "is_breakglass": true}`, nil},
		{
			"roles in another order, and the default", `{"roles": ["b", "a", "stytch_member"]}`, ``,
			`{"roles": [{"role_id": "a", "sources": [{"type": "direct_assignment"}]}, {"role_id": "b", "sources": [{"type": "direct_assignment"}]}, {"role_id": "stytch_member", "sources": [{"type": "direct_assignment"}]}]}`, nil,
		},
		{"an implicit role is not ours", `{"roles": []}`, ``, `{"roles": [{"role_id": "a", "sources": [{"type": "email_assignment"}]}]}`, nil},
		{"an extra role", `{"roles": null}`, ``, `{"roles": [{"role_id": "a", "sources": [{"type": "direct_assignment"}]}]}`, []string{"roles"}},
		{"numbers in another form", `{"trusted_metadata": {"a": 1.50e2, "b": [1, {"c": -0.0}]}}`, ``, `{"trusted_metadata": {"b": [1.0, {"c": 0}], "a": 150}}`, nil},
		{"numbers beyond a float", `{"trusted_metadata": {"a": 9007199254740993}}`, ``, `{"trusted_metadata": {"a": 9007199254740992}}`, []string{"trusted_metadata"}},
		{"a list's order", `{"untrusted_metadata": {"a": [1, 2]}}`, ``, `{"untrusted_metadata": {"a": [2, 1]}}`, []string{"untrusted_metadata"}},
		{"somebody else's metadata", `{"trusted_metadata": {"a": 1}}`, `{"trusted_metadata": {"v": {"a": 1}}}`, `{"trusted_metadata": {"a": 1, "theirs": 2}}`, nil},
		{"metadata that we wrote and should be gone", `{"trusted_metadata": {}}`, `{"trusted_metadata": {"v": {"a": 1}}}`, `{"trusted_metadata": {"a": 1}}`, []string{"trusted_metadata"}},
		{"a null is no key", `{"trusted_metadata": {"a": null}}`, ``, `{"trusted_metadata": {}}`, nil},
		{"a null removes a key", `{"trusted_metadata": {"a": null}}`, ``, `{"trusted_metadata": {"a": 1}}`, []string{"trusted_metadata"}},
		{"a phone", `{"mfa_phone_number": "+12025550123"}`, ``, `{"mfa_phone_number": "+12025550124"}`, []string{"mfa_phone_number"}},
		{"MFA", `{"mfa_enrolled": true, "default_mfa_method": "totp"}`, ``, `{"mfa_enrolled": false, "default_mfa_method": "sms_otp"}`, []string{"default_mfa_method", "mfa_enrolled"}},
	} {
		e := &ledger.Expectation{Key: consumers.Key{Kind: consumers.Member}, Desired: jsonOf(t, c.desired)}
		if c.written != "" {
			if err := json.Unmarshal([]byte(c.written), &e.Applied); err != nil {
				t.Fatal(err)
			}
		}
		o := decode(consumers.Member, []byte(c.there))
		if got := differing(e, o); !slices.Equal(slices.Sorted(slices.Values(got)), c.want) {
			t.Errorf("%s: %v differ, want %v", c.name, got, c.want)
		}
	}
}

func TestOrganizationFields(t *testing.T) {
	t.Parallel()
	const there = `{"organization_name": "A", "organization_slug": "a", "email_allowed_domains": ["b.example", "a.example"],
		"email_jit_provisioning": "RESTRICTED", "allowed_auth_methods": ["sso"], "mfa_policy": "OPTIONAL"}`
	for _, c := range []struct {
		name, desired string
		want          []string
	}{
		{"all the same", `{"organization_name": "A", "organization_slug": "a", "email_allowed_domains": ["A.Example", "b.example"], "mfa_policy": "OPTIONAL"}`, nil},
		{"settings that are NULL are Stytch's", `{"organization_slug": null, "email_jit_provisioning": null, "allowed_auth_methods": null, "mfa_policy": null}`, nil},
		{
			"settings that are not", `{"organization_slug": "b", "email_jit_provisioning": "NOT_ALLOWED", "allowed_auth_methods": [], "mfa_policy": "REQUIRED_FOR_ALL"}`,
			[]string{"allowed_auth_methods", "email_jit_provisioning", "mfa_policy", "organization_slug"},
		},
	} {
		e := &ledger.Expectation{Key: consumers.Key{Kind: consumers.Organization}, Desired: jsonOf(t, c.desired)}
		if got := slices.Sorted(slices.Values(differing(e, decode(consumers.Organization, []byte(there))))); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v differ, want %v", c.name, got, c.want)
		}
	}
	// Every field that a mapping may name is one that is read.
	full := &object{organization: &stytch.Organization{}}
	member := &object{member: &stytch.Member{}}
	for kind, o := range map[consumers.Kind]*object{consumers.Organization: full, consumers.Member: member} {
		for _, f := range consumers.Fields(kind) {
			if !f.Key && !f.Control && !f.NotYet && o.field(f.Name) == nil {
				t.Errorf("%s %s is compared with nothing", kind, f.Name)
			}
		}
	}
}

// A password is the one that we caused, by its id, and made of the hash that is desired.
func TestPasswords(t *testing.T) {
	t.Parallel()
	const good, other, bad = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWz", "rot13:frperg"
	for _, c := range []struct {
		name, hash, applied string
		verified            bool
		recorded, there     string
		losses              []consumers.Loss
		want                passwordState
	}{
		{"ours", good, good, true, "p1", "p1", nil, passwordFine},
		{"gone", good, good, true, "p1", "", nil, passwordWrong},
		{"somebody else's", good, good, true, "p1", "p2", nil, passwordForeign},
		{"the person's, named", good, good, true, "p1", "p2", []consumers.Loss{lossChanged}, passwordFine},
		{"of another hash", good, other, true, "p1", "p1", nil, passwordWrong},
		{"not recorded", good, "", true, "", "p1", nil, passwordUnknown},
		{"never set", good, "", true, "", "", nil, passwordWrong},
		{"no hash type, named", bad, "", true, "", "", []consumers.Loss{consumers.LossHashFormat}, passwordFine},
		{"no hash type, not named", bad, "", true, "", "", nil, passwordUnknown},
		{"unverified, named", good, "", false, "", "", []consumers.Loss{consumers.LossEmailUnverified}, passwordFine},
		{"unverified, not named", good, "", false, "", "", nil, passwordUnknown},
		{"verification withdrawn", good, good, false, "p1", "p1", []consumers.Loss{consumers.LossEmailUnverified}, passwordFine},
		{"no hash any more, and ours is still there", "", good, true, "p1", "p1", nil, passwordWrong},
		{"no hash any more, in a project that cannot delete it", "", good, true, "p1", "p1", []consumers.Loss{lossShared}, passwordFine},
		{"no hash, and the person's own", "", "", true, "", "p2", nil, passwordFine},
	} {
		e := &ledger.Expectation{
			Desired: map[string]any{"password_hash": c.hash, "email_verified": c.verified}, PasswordID: c.recorded, Losses: c.losses,
			Applied: ledger.Applied{"password_hash": {V: c.applied}},
		}
		if got := passwordOf(e, &stytch.Member{PasswordID: c.there}, false); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if got := passwordOf(&ledger.Expectation{Desired: map[string]any{}}, &stytch.Member{PasswordID: "p"}, false); got != passwordFine {
		t.Errorf("a mapping without hashes: %d", got)
	}
}

// Keys are read back out of external ids, and out of nothing else.
func TestKeysOfExternalIDs(t *testing.T) {
	t.Parallel()
	p := prefixes{organizations: "ten_", members: ""}
	for _, key := range []string{"1", "a|b", "übung", ".", "member-1", "", strings.Repeat("x", 40)} {
		for _, kind := range []consumers.Kind{consumers.Organization, consumers.Member} {
			k := consumers.Key{Kind: kind, Organization: key, Entity: key}
			first := stytch.ExternalID(p.of(kind), key)
			for n := range 3 {
				id := stytch.Generation(first, n)
				if got, ok := p.key(kind, id); !ok && key != "" || ok && got != key {
					t.Errorf("%s %q: the key of %q is %q, %v", kind, key, id, got, ok)
				}
				if !p.carries(id, k) {
					t.Errorf("%q does not carry %q", id, key)
				}
			}
		}
	}
	for _, id := range []string{"", "usr_1", "ten_|zz", "ten_" + strings.Repeat("x", 100) + "|h00"} {
		if key, ok := p.key(consumers.Organization, id); ok {
			t.Errorf("%q is taken for the external id of %q", id, key)
		}
	}
}
