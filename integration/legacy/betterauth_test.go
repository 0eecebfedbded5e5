package legacy_test

var betterAuth = fixture{
	name: "betterauth", schema: "betterauth", tenant: "organization", user: `"user"`, membership: "member",
	roles:    []string{"admin", "member", "owner"},
	foreseen: []string{"mapping.duplicate_key", "mapping.invalid_slug", "mapping.hashes", "mapping.unverified"},
	before: state{
		traps: []trap{
			{"several roles in one text", "t1/v1", "roles", "[admin owner]"},
			{"an organization's own role is none of Stytch's", "t1/v2", "roles", "[member]"},
			{"but what it permits", "t1/v2", "trusted_metadata.permissions", "[auditor:log:read]"},
			{"who only signs in elsewhere has no password", "t1/v4", "password", "none"},
			{"a hash would make Stytch call an address verified", "t1/v5", "password", "none"},
			{"half a hash is none", "t1/v8", "password", "none"},
			{"salt:key in hexadecimal", "t1/v1", "password", "scrypt"},
			{"no slug", "t2", "organization_slug", "organization-t2"},
			{"an empty role", "t.é|3/v7", "roles", "[]"},
			{"an empty text is no JSON", "t1", "trusted_metadata", "map[]"},
		},
		parked:  []string{"t1/v3 duplicate_key", "t4 invalid_slug"},
		blocked: []string{"t4/v6 organization_blocked"},
	},
	changes: []change{
		{what: "one of two rows goes", sql: `DELETE FROM member WHERE id = 'w3'`},
		{what: "a slug that Stytch takes", sql: `UPDATE organization SET slug = 'xx', metadata = '{"plan": "free"}' WHERE id = 't4'`},
		{what: "one row changes many members", sql: `UPDATE "organizationRole" SET permission = 'log:write' WHERE id = 'r1'; UPDATE member SET role = role || ',auditor' WHERE "organizationId" = 't1'`},
		{what: "the same pair again, under another id", sql: `DELETE FROM member WHERE id = 'w4'; INSERT INTO member (id, "organizationId", "userId", role) VALUES ('w4again', 't1', 'v4', 'admin')`},
		{what: "a first password", sql: `INSERT INTO account (id, "accountId", "providerId", "userId", password) SELECT 'd4c', 'v4', 'credential', 'v4', password FROM account WHERE id = 'd1'`},
		{what: "a password goes with its account, another account stays", sql: `DELETE FROM account WHERE id = 'd1'`},
		{what: "an address is verified", sql: `UPDATE "user" SET "emailVerified" = true WHERE id = 'v5'`},
		{what: "two exchange addresses in one transaction", sql: `UPDATE "user" SET email = 'nobody@corp.example' WHERE id = 'v1'; UPDATE "user" SET email = 'several@corp.example' WHERE id = 'v2';
			UPDATE "user" SET email = 'own@corp.example' WHERE id = 'v1'`},
		{what: "an organization goes, its members first", sql: `DELETE FROM member WHERE "organizationId" = 't2'; DELETE FROM "organizationRole" WHERE "organizationId" = 't2'; DELETE FROM organization WHERE id = 't2'`},
	},
	after: state{
		traps: []trap{
			{"one row is left", "t1/v3", "roles", "[admin]"},
			{"the slug is taken", "t4", "organization_slug", "xx"},
			{"and its member with it", "t4/v6", "roles", "[owner]"},
			{"a role's row changes members", "t1/v1", "trusted_metadata.permissions", "[auditor:log:write]"},
			{"the same pair has its new row's role", "t1/v4", "roles", "[admin]"},
			{"a first password", "t1/v4", "password", "scrypt"},
			{"the password went with its account", "t1/v1", "password", "none"},
			{"the address was verified", "t1/v5", "password", "scrypt"},
			{"addresses were exchanged", "t1/v1", "email_address", "own@corp.example"},
			{"on both sides", "t1/v2", "email_address", "several@corp.example"},
			{"the organization is gone", "t2", "", gone},
		},
	},
	canaries: []string{"t1/v4", "t1/v5"},
	same:     []string{"t1/v1", "t1/v2", "t1/v4", "t.é|3/v7"},
}
