package legacy_test

var calcom = fixture{
	name: "calcom", schema: "calcom", tenant: `"Team"`, user: "users", membership: `"Membership"`,
	roles:    []string{"admin", "member", "owner"},
	foreseen: []string{"mapping.shared_slug", "mapping.shared_email", "mapping.unverified"},
	before: state{
		traps: []trap{
			{"a team below is no organization", "201", "", gone},
			{"the highest role counts, of the team below too", "101/2001", "roles", "[owner]"},
			{"who is only below is the organization's", "105/2012", "roles", "[admin]"},
			{"an invitation is no member yet", "101/2002", "", gone},
			{"who is locked is left out", "101/2003", "", gone},
			{"who signs in through SAML has no password", "102/2004", "password", "none"},
			{"a hash would make Stytch call an address verified", "102/2005", "password", "none"},
			{"a password is in another table", "101/2001", "password", "bcrypt"},
			{"addresses are compared without case", "103/2008", "email_address", "everywhere@corp.example"},
			{"a user is in many organizations", "301/2008", "roles", "[owner]"},
			{"one that stands alone has the slug of an organization", "393", "organization_slug", "organization-1-393"},
			{"no slug", "394", "organization_slug", "team-394"},
			{"an unpaid team is none yet", "395", "", gone},
			{"a TOASTed value is read", "104/2010", "trusted_metadata.customer", "cus_large"},
			{"only a proven second address is taken", "104/2011", "trusted_metadata.secondary_emails", "[second@corp.example]"},
		},
		parked: []string{
			"391 duplicate_value or 392 duplicate_value", // two organizations, one slug
			"103/2006 duplicate_value or 103/2007 duplicate_value",
		},
		blocked: []string{"391/2013 organization_blocked or 392/2014 organization_blocked"},
	},
	changes: []change{
		{what: "a password is changed in a table of its own", sql: `UPDATE "UserPassword" SET hash = '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy' WHERE "userId" = 2011`},
		{what: "a delete carries the membership's id only", sql: `DELETE FROM "Membership" WHERE "userId" = 2001 AND "teamId" = 201`},
		{what: "the last membership goes", sql: `DELETE FROM "Membership" WHERE "userId" = 2008 AND "teamId" = 301`},
		{what: "the same pair again, under another id", sql: `WITH gone AS (DELETE FROM "Membership" WHERE "userId" = 2010 RETURNING "teamId")
			UPDATE users SET name = 'Large, Renamed' WHERE id = 2010 AND EXISTS (SELECT FROM gone);
			INSERT INTO "Membership" ("teamId", "userId", accepted, role) VALUES (104, 2010, true, 'OWNER')`},
		{what: "an invitation is accepted", sql: `UPDATE "Membership" SET accepted = true WHERE "userId" = 2002`},
		{what: "somebody is locked, another unlocked", sql: `UPDATE users SET locked = NOT locked WHERE id IN (2003, 2012)`},
		{what: "a team moves below another organization, with its people", sql: `UPDATE "Team" SET "parentId" = 110, slug = 'moved' WHERE id = 205`},
		{what: "a team at the top is deleted, and all of it with it", sql: `DELETE FROM "Team" WHERE id = 102`},
		{what: "what was unpaid is paid", sql: `UPDATE "Team" SET "pendingPayment" = false WHERE id = 395`},
		{what: "the second of one slug takes another", sql: `UPDATE "Team" SET slug = 'same-two' WHERE id = 392`},
		{what: "the sign-in becomes SAML's, the hash stays behind", sql: `UPDATE users SET "identityProvider" = 'SAML' WHERE id = 2012`},
		{what: "a column is added, and a role", sql: `ALTER TYPE "MembershipRole" ADD VALUE 'OBSERVER'; ALTER TABLE users ADD COLUMN "avatarUrl" text`},
		{what: "and both are used", sql: `UPDATE users SET "avatarUrl" = 'https://corp.example/2008', name = 'With A Picture' WHERE id = 2008;
			UPDATE "Membership" SET role = 'OBSERVER' WHERE "userId" = 2008 AND "teamId" = 101`},
		{what: "a twin takes another address", sql: `UPDATE users SET email = 'twin2@corp.example' WHERE id = 2007`},
		{what: "three tables in one transaction", sql: `INSERT INTO users (id, name, email, "emailVerified") VALUES (2099, 'New', 'new@corp.example', now());
			INSERT INTO "UserPassword" SELECT hash, 2099 FROM "UserPassword" WHERE "userId" = 2001;
			INSERT INTO "Membership" ("teamId", "userId", accepted, role) VALUES (103, 2099, true, 'MEMBER'), (206, 2099, true, 'ADMIN')`},
	},
	after: state{
		traps: []trap{
			{"the role of the team below is gone", "101/2001", "roles", "[member]"},
			{"the last membership is gone", "301/2008", "", gone},
			{"the team has moved", "103/2008", "", gone},
			{"and its people with it", "110/2008", "roles", "[member]"},
			{"a new column does not matter", "101/2008", "name", "With A Picture"},
			{"a new role is what the mapping says of all others", "101/2008", "roles", "[member]"},
			{"the invitation was accepted", "101/2002", "roles", "[member]"},
			{"who was unlocked is there", "101/2003", "", there},
			{"who was locked is not", "105/2012", "", gone},
			{"the organization is gone", "102", "", gone},
			{"and its people", "102/2005", "", gone},
			{"a value that was TOASTed and not sent is kept", "104/2010", "trusted_metadata.customer", "cus_large"},
			{"the same pair has its new row's role", "104/2010", "roles", "[owner]"},
			{"the other table's new hash is taken", "104/2011", "hash", "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"},
			{"the team is paid, with its people", "395/2001", "roles", "[owner]"},
			{"nothing is the slug's second any more", "392/2014", "roles", "[owner]"},
			{"nor the address's", "103/2007", "email_address", "twin2@corp.example"},
			{"a new one has a password", "103/2099", "password", "bcrypt"},
			{"and the highest role", "103/2099", "roles", "[admin]"},
		},
	},
	canaries: []string{"101/2001", "103/2099"},
	same:     []string{"101/2001", "104/2010", "394/2008"},
}
