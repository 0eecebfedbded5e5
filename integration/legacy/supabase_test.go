package legacy_test

const (
	supabaseTraps  = "00000000-0000-0009-0000-000000000001"
	supabasePerson = supabaseTraps + "/00000000-0000-0009-0000-0000000000" // and two digits
)

var supabase = fixture{
	name: "supabase", schema: "supabase_memberships", tenant: "organizations", user: "auth.users", membership: "memberships",
	roles:    []string{"admin", "member", "owner"},
	foreseen: []string{"mapping.missing_email", "mapping.shared_email", "mapping.hashes", "mapping.unverified"},
	before: state{
		traps: []trap{
			{"a hash in the standard form", supabasePerson + "13", "password", "argon_2id"},
			{"a change of address that nobody has confirmed", supabasePerson + "13", "email_address", "argon@corp.example"},
			{"a generated column's value comes from its source", supabasePerson + "13", "trusted_metadata.identities", "[email:argon@corp.example]"},
			{"a role that Stytch does not have", supabasePerson + "13", "roles", "[member]"},
			{"a hash that Stytch has no type for", supabasePerson + "14", "password", "none"},
			{"users write their own metadata: no organization", "00000000-0000-0009-0000-000000000002/00000000-0000-0009-0000-000000000014", "", gone},
			{"and no role", supabasePerson + "14", "roles", "[admin]"},
			{"anonymous", supabasePerson + "16", "", gone},
			{"banned", supabasePerson + "17", "", gone},
			{"deleted", supabasePerson + "18", "", gone},
			{"a TOASTed value is read", supabasePerson + "19", "untrusted_metadata.theme", "light"},
		},
		parked: []string{
			supabasePerson + "11 duplicate_value or " + supabasePerson + "12 duplicate_value", // an address may be a password's and an SSO's
			supabasePerson + "15 missing_email",                                               // a telephone number only
		},
	},
	changes: []change{
		{what: "the address is proven: two steps become one change", sql: `UPDATE auth.users SET email = email_change, email_change = '' WHERE id = '00000000-0000-0009-0000-000000000013';
			UPDATE auth.identities SET identity_data = '{"email": "Changed@Corp.Example"}' WHERE provider_id = '13'`},
		{what: "the password's user of one address goes", sql: `UPDATE auth.users SET deleted_at = now() WHERE id = '00000000-0000-0009-0000-000000000011'`},
		{what: "the telephone's user has an address", sql: `UPDATE auth.users SET email = 'phone@corp.example', email_confirmed_at = now() WHERE id = '00000000-0000-0009-0000-000000000015'`},
		{what: "an update that leaves out what is TOASTed", sql: `UPDATE auth.users SET email = 'large2@corp.example' WHERE id = '00000000-0000-0009-0000-000000000019'`},
		{what: "a ban is lifted, another begins", sql: `UPDATE auth.users SET banned_until = CASE WHEN banned_until IS NULL THEN now() END WHERE id IN ('00000000-0000-0009-0000-000000000017', '00000000-0000-0009-0000-000000000018')`},
		{what: "a hash is replaced by one that Stytch takes", sql: `UPDATE auth.users SET encrypted_password = (SELECT encrypted_password FROM auth.users WHERE id = '00000000-0000-0009-0000-000000000019')
			WHERE id = '00000000-0000-0009-0000-000000000014'`},
		{what: "somebody anonymous signs up", sql: `UPDATE auth.users SET is_anonymous = false, email = 'known@corp.example', email_confirmed_at = now() WHERE id = '00000000-0000-0009-0000-000000000016'`},
		{what: "users go, their identities with them", sql: `DELETE FROM public.memberships WHERE user_id = '00000000-0000-0002-0000-000000000001'; DELETE FROM auth.users WHERE id = '00000000-0000-0002-0000-000000000001'`},
	},
	after: state{
		traps: []trap{
			{"the proven address", supabasePerson + "13", "email_address", "changed@corp.example"},
			{"in the other table too", supabasePerson + "13", "trusted_metadata.identities", "[email:changed@corp.example]"},
			{"the SSO's user has the address", supabasePerson + "12", "name", "Single Sign-On"},
			{"and no password", supabasePerson + "12", "password", "none"},
			{"the telephone's user has an address", supabasePerson + "15", "email_address", "phone@corp.example"},
			{"a value that was TOASTed and not sent is kept", supabasePerson + "19", "untrusted_metadata.theme", "light"},
			{"and the password", supabasePerson + "19", "password", "bcrypt"},
			{"the ban is lifted", supabasePerson + "17", "", there},
			{"a hash that Stytch takes", supabasePerson + "14", "password", "bcrypt"},
			{"who signed up", supabasePerson + "16", "email_address", "known@corp.example"},
		},
	},
	canaries: []string{supabasePerson + "13", supabasePerson + "14"},
	same:     []string{supabasePerson + "13", supabasePerson + "14", supabasePerson + "19"},
}
