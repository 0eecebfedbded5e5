package apply

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"pgregory.net/rapid"
)

var testDigest = digester("test key")

// subjectOf is a member that is applied as one state says and desired as another.
func subjectOf(applied, desired map[string]any, edit func(*subject)) *subject {
	st := &ledger.State{Key: member("o", "1"), Applied: ledger.Applied{}, Desired: desired}
	s := &subject{state: st, external: "1", organizationID: "organization-1", digest: testDigest, pass: passwordOf(desired, false, testDigest)}
	if applied != nil {
		st.StytchID, st.OrganizationID = "member-1", "organization-1"
		for f, v := range canonical(consumers.Member, applied) {
			st.Applied[f] = ledger.Value{V: v}
		}
		st.Applied[fieldExternal] = ledger.Value{V: "1"}
		if p := passwordOf(applied, false, testDigest); p.fields != nil {
			st.PasswordID, st.HashDigest, st.Applied[fieldHash] = "password-1", p.digest, ledger.Value{V: p.hash}
		}
	}
	if desired != nil {
		s.want = canonical(consumers.Member, desired)
	}
	if edit != nil {
		edit(s)
	}
	return s
}

// fresh is a read that finds what is applied.
func fresh(s *subject) {
	s.read = &observed{id: s.state.StytchID, values: values{}, passwordID: s.state.PasswordID}
	for f, v := range s.state.Applied {
		s.read.values[f] = v.V
	}
	s.absorb(false)
}

func describe(p plan) string {
	switch {
	case p.park != "":
		return "park " + string(p.park)
	case p.read:
		return "read"
	case p.forget:
		return "forget"
	}
	steps := []string{}
	for _, c := range p.calls {
		steps = append(steps, c.step)
	}
	return fmt.Sprint(steps)
}

func TestPlansOfMembers(t *testing.T) {
	t.Parallel()
	one := memberState("a@example.com", "password_hash", hashes[0])
	tests := map[string]struct {
		applied, desired map[string]any
		edit             func(*subject)
		want             string
	}{
		"nothing of nothing":              {nil, nil, nil, "[]"},
		"a new member":                    {nil, memberState("a@example.com"), nil, "[create_member]"},
		"with a hash, in one call":        {nil, one, nil, "[migrate_password]"},
		"in an adopted organization":      {nil, one, func(s *subject) { s.parentAdopted = true }, "[create_member migrate_password]"},
		"with what migrate cannot set":    {nil, memberState("a@example.com", "password_hash", hashes[0], "is_breakglass", true), nil, "[create_member migrate_password]"},
		"with a default factor":           {nil, memberState("a@example.com", "mfa_phone_number", "+14155550100", "default_mfa_method", "sms_otp"), nil, "[create_member update_member]"},
		"unverified":                      {nil, memberState("a@example.com", "password_hash", hashes[0], "email_verified", false), nil, "[create_member]"},
		"without an address":              {nil, memberState(" "), nil, "park missing_email"},
		"unchanged":                       {one, one, nil, "[]"},
		"another case of the address":     {one, memberState("A@Example.com ", "password_hash", hashes[0]), nil, "[]"},
		"a name":                          {one, memberState("a@example.com", "name", "New", "password_hash", hashes[0]), nil, "[update_member]"},
		"an address needs a read":         {one, memberState("b@example.com", "password_hash", hashes[0]), nil, "read"},
		"an address":                      {one, memberState("b@example.com", "password_hash", hashes[0]), fresh, "[update_member migrate_password]"},
		"an address and a hash":           {one, memberState("b@example.com", "password_hash", hashes[1]), fresh, "[update_member migrate_password]"},
		"an address, unverified":          {one, memberState("b@example.com", "password_hash", hashes[0], "email_verified", false), fresh, "[update_member]"},
		"a hash needs a read":             {one, memberState("a@example.com", "password_hash", hashes[1]), nil, "read"},
		"a hash":                          {one, memberState("a@example.com", "password_hash", hashes[1]), fresh, "[delete_password migrate_password]"},
		"no hash any more":                {one, memberState("a@example.com"), fresh, "[delete_password]"},
		"a hash that Stytch cannot take":  {one, memberState("a@example.com", "password_hash", "$6$x$y"), fresh, "[delete_password]"},
		"a first hash":                    {memberState("a@example.com"), one, fresh, "[migrate_password]"},
		"only the verification withdrawn": {one, memberState("a@example.com", "password_hash", hashes[0], "email_verified", false), nil, "[]"},
		"a phone":                         {memberState("a@example.com", "mfa_phone_number", "+1"), memberState("a@example.com", "mfa_phone_number", "+2"), fresh, "[delete_mfa_phone update_member]"},
		"no phone any more":               {memberState("a@example.com", "mfa_phone_number", "+1"), memberState("a@example.com", "mfa_phone_number", nil), fresh, "[delete_mfa_phone]"},
		"a delete needs a read":           {one, nil, nil, "read"},
		"a delete":                        {one, nil, fresh, "[delete_member]"},
		"a delete of what is gone":        {one, nil, func(s *subject) { s.read = &observed{missing: true} }, "forget"},
		"a foreign address": {one, memberState("b@example.com", "password_hash", hashes[0]), func(s *subject) {
			fresh(s)
			s.read.values[fieldEmail] = "c@example.com"
			s.absorb(false)
		}, "park foreign_change"},
		"a delete of a foreign address": {one, nil, func(s *subject) {
			fresh(s)
			s.read.values[fieldEmail] = "c@example.com"
			s.absorb(false)
		}, "park foreign_change"},
		"the address is there already": {one, memberState("b@example.com", "name", "Name of a@example.com", "password_hash", hashes[0]), func(s *subject) {
			fresh(s)
			s.read.values[fieldEmail], s.read.passwordID = "b@example.com", ""
			s.absorb(false)
		}, "[migrate_password]"},
		"a foreign password": {one, memberState("a@example.com", "password_hash", hashes[1]), func(s *subject) {
			fresh(s)
			s.read.passwordID = "password-2"
			s.absorb(false)
		}, "[]"},
		"an address over a foreign password": {one, memberState("b@example.com", "password_hash", hashes[0]), func(s *subject) {
			fresh(s)
			s.read.passwordID = "password-2"
			s.absorb(false)
		}, "park foreign_change"},
		"a password to take back": {nil, one, func(s *subject) { s.state.Applied[fieldTakeBack] = ledger.Value{V: "password-9"} }, "[delete_password]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := describe(makePlan(subjectOf(test.applied, test.desired, test.edit))); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestBodiesSendOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	meta := func(kv ...any) map[string]any { return with(map[string]any{}, kv) }
	p := makePlan(subjectOf(
		memberState("a@example.com", "trusted_metadata", meta("keep", json.Number("1.0"), "drop", true, "change", meta("x", 1))),
		memberState("b@example.com", "roles", []any{"stytch_member", "admin"}, "trusted_metadata", meta("keep", json.Number("1"), "change", meta("y", 2), "none", nil)),
		fresh))
	got, err := json.Marshal(p.calls[0].fields)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"email_address":"b@example.com","name":"Name of b@example.com","roles":["admin"],"trusted_metadata":{"change":{"y":2},"drop":null},"unlink_email":true}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Carrying out a plan leaves nothing to plan, whatever the two states, and takes
// the calls that the design counts.
func TestPlansConverge(t *testing.T) { // invariant 5
	t.Parallel()
	state := rapid.Custom(func(t *rapid.T) map[string]any {
		d := memberState(rapid.SampledFrom([]string{"a@example.com", "b@example.com"}).Draw(t, "email"))
		d["name"] = rapid.SampledFrom([]any{"A", "B", "", nil}).Draw(t, "name")
		d["email_verified"] = rapid.SampledFrom([]any{true, false, nil}).Draw(t, "verified")
		d["password_hash"] = rapid.SampledFrom([]any{hashes[0], hashes[1], nil, "", "$6$x$y"}).Draw(t, "hash")
		d["is_breakglass"] = rapid.SampledFrom([]any{true, false, nil}).Draw(t, "breakglass")
		d["mfa_phone_number"] = rapid.SampledFrom([]any{"+1", "+2", nil}).Draw(t, "phone")
		d["trusted_metadata"] = map[string]any{rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key"): rapid.SampledFrom([]any{1, "x", nil}).Draw(t, "value")}
		return d
	})
	rapid.Check(t, func(t *rapid.T) {
		s := subjectOf(nil, state.Draw(t, "first"), nil)
		s.parentAdopted = rapid.Bool().Draw(t, "adopted")
		carry(t, s)
		next := state.Draw(t, "second")
		s.state.Desired, s.want, s.pass, s.read = next, canonical(consumers.Member, next), passwordOf(next, false, testDigest), nil
		if n := carry(t, s); n > 4 {
			t.Fatalf("%d calls for one change", n)
		}
		s.want, s.read = nil, nil
		if n := carry(t, s); n != 1 || s.state.StytchID != "" {
			t.Fatalf("%d calls for a delete", n)
		}
	})
}

// carry makes a plan's calls against a Stytch of one member.
func carry(t *rapid.T, s *subject) (calls int) {
	for range 8 {
		p := makePlan(s)
		switch {
		case p.park != "":
			t.Fatalf("parked: %s", p.park)
		case p.read:
			fresh(s)
			continue
		case len(p.calls) == 0:
			s.state.HashDigest = p.digest
			s.read = nil
			if again := makePlan(s); len(again.calls) > 0 || again.read && s.want != nil {
				t.Fatalf("a carried-out plan leaves %s", describe(again))
			}
			return calls
		}
		c := p.calls[0]
		calls++
		a := answer{}
		if c.sets != nil && c.step != stepDeletePassword {
			a.read = &observed{id: "member-1", values: values{}, passwordID: s.state.PasswordID}
			for f, v := range s.state.Applied {
				a.read.values[f] = v.V
			}
			for f, v := range c.sets {
				a.read.values[f] = v
			}
			if hash, ok := c.sets[fieldHash]; ok {
				a.read.passwordID = ""
				if hash != nil {
					a.read.passwordID = fmt.Sprint("password-", calls)
				}
			}
			delete(a.read.values, fieldHash)
		}
		s.took(c, a)
	}
	t.Fatal("the plans do not end")
	return 0
}

func TestRolesAreASet(t *testing.T) {
	t.Parallel()
	if !slices.Equal(texts(fieldRoles, []any{"b", "a", "b", "stytch_member"}), []string{"a", "b"}) || !same([]string{"a", "b"}, []any{"b", "a"}) {
		t.Error("roles are compared as lists")
	}
	if same(map[string]any{"l": []any{"a", "b"}}, map[string]any{"l": []any{"b", "a"}}) {
		t.Error("a list inside metadata has an order")
	}
}
