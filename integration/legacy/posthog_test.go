package legacy_test

const (
	posthogTraps    = "00000000-0000-0009-0000-000000000001"
	posthogUnproven = "00000000-0000-0009-0000-000000000002"
	posthogShort    = "00000000-0000-0009-0000-000000000003"
)

var posthog = fixture{
	name: "posthog", schema: "posthog", tenant: "posthog_organization", user: "posthog_user", membership: "posthog_organizationmembership",
	roles:    []string{"admin", "member", "owner"},
	foreseen: []string{"mapping.invalid_slug", "mapping.shared_email", "mapping.unverified"},
	before: state{
		traps: []trap{
			{"15 is the owner", posthogTraps + "/2001", "roles", "[owner]"},
			{"8 an administrator", posthogTraps + "/2002", "roles", "[admin]"},
			{"somebody's job is no role", posthogTraps + "/2003", "roles", "[member]"},
			{"a level is the organization's", posthogUnproven + "/2001", "roles", "[member]"},
			{"Django's hash", posthogTraps + "/2001", "password", "pbkdf_2"},
			{"Django's unusable one", posthogTraps + "/2003", "password", "none"},
			{"null is not verified", posthogTraps + "/2007", "password", "none"},
			{"an address that is not proven yet", posthogTraps + "/2002", "email_address", "next@corp.example"},
			{"inactive", posthogTraps + "/2004", "", gone},
			{"only a proven domain lets people in", posthogTraps, "email_allowed_domains", "[corp.example]"},
			{"and what is provisioned", posthogTraps, "email_jit_provisioning", "RESTRICTED"},
			{"SAML is enforced", posthogTraps, "allowed_auth_methods", "[sso]"},
			{"an unproven domain lets nobody in", posthogUnproven, "email_jit_provisioning", "NOT_ALLOWED"},
			{"an empty entity id is no SAML", posthogUnproven, "auth_methods", "ALL_ALLOWED"},
		},
		parked:  []string{posthogTraps + "/2005 duplicate_value or " + posthogTraps + "/2006 duplicate_value", posthogShort + " invalid_slug"},
		blocked: []string{posthogShort + "/2001 organization_blocked"},
	},
	changes: []change{
		{what: "the owner changes: there is never a second one", sql: `UPDATE posthog_organizationmembership SET level = 8 WHERE organization_id = '00000000-0000-0009-0000-000000000001' AND user_id = 2001;
			UPDATE posthog_organizationmembership SET level = 15 WHERE organization_id = '00000000-0000-0009-0000-000000000001' AND user_id = 2002`},
		{what: "an address is proven", sql: `UPDATE posthog_user SET email = pending_email, pending_email = NULL WHERE id = 2002`},
		{what: "somebody is active again, another no more", sql: `UPDATE posthog_user SET is_active = NOT is_active WHERE id IN (2003, 2004)`},
		{what: "the domain is proven, the other organization's no more", sql: `UPDATE posthog_organizationdomain SET verified_at = CASE WHEN verified_at IS NULL THEN now() END WHERE domain IN ('elsewhere.example', 'Corp.example')`},
		{what: "the slug is one that Stytch takes", sql: `UPDATE posthog_organization SET slug = 'short' WHERE slug = 's'`},
		{what: "the same pair again, under another id", sql: `DELETE FROM posthog_organizationmembership WHERE user_id = 2007;
			INSERT INTO posthog_organizationmembership (organization_id, user_id, level) VALUES ('00000000-0000-0009-0000-000000000001', 2007, 8)`},
		{what: "null becomes verified", sql: `UPDATE posthog_user SET is_email_verified = true WHERE id = 2007`},
		{what: "two accounts of one person are one", sql: `DELETE FROM posthog_organizationmembership WHERE user_id = 2006; DELETE FROM posthog_user WHERE id = 2006`},
		{what: "an organization goes, what refers to it first", sql: `DELETE FROM posthog_organizationdomain WHERE organization_id = '00000000-0000-0001-0000-000000000003';
			DELETE FROM posthog_organizationmembership WHERE organization_id = '00000000-0000-0001-0000-000000000003'; DELETE FROM posthog_organization WHERE id = '00000000-0000-0001-0000-000000000003'`},
	},
	after: state{
		traps: []trap{
			{"the former owner", posthogTraps + "/2001", "roles", "[admin]"},
			{"the new one", posthogTraps + "/2002", "roles", "[owner]"},
			{"the proven address", posthogTraps + "/2002", "email_address", "coming@corp.example"},
			{"active again", posthogTraps + "/2004", "password", "pbkdf_2"},
			{"no more", posthogTraps + "/2003", "", gone},
			{"the domain lets nobody in any more", posthogTraps, "email_allowed_domains", "[]"},
			{"nor restricts", posthogTraps, "auth_methods", "ALL_ALLOWED"},
			{"the other one's does", posthogUnproven, "email_allowed_domains", "[elsewhere.example empty.example]"},
			{"and enforces SAML", posthogUnproven, "allowed_auth_methods", "[sso]"},
			{"the slug", posthogShort, "organization_slug", "short"},
			{"and who waited for it", posthogShort + "/2001", "roles", "[owner]"},
			{"the same pair has its new row's role", posthogTraps + "/2007", "roles", "[admin]"},
			{"and a password now", posthogTraps + "/2007", "password", "pbkdf_2"},
			{"one of two accounts is left", posthogTraps + "/2005", "email_address", "case@corp.example"},
			{"an organization is gone", "00000000-0000-0001-0000-000000000003", "", gone},
		},
	},
	canaries: []string{posthogTraps + "/2002", posthogTraps + "/2007"},
	same:     []string{posthogTraps + "/2001", posthogTraps + "/2002", posthogTraps + "/2007"},
}
