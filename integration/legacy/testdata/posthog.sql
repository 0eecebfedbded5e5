-- PostHog. Organizations 1 to 12 (…-0001-…) are used by users 1001 to 1150; what stands below
-- (…-0009-…, from 2001) is a trap each.
ALTER TABLE posthog_organizationmembership REPLICA IDENTITY FULL; -- deletes carry the whole row; the other schemas' do not
INSERT INTO posthog_organization (id, name, slug) SELECT ('00000000-0000-0001-0000-' || lpad(i::text, 12, '0'))::uuid, 'Organization ' || i, 'organization-' || i FROM generate_series(1, 12) i;
INSERT INTO posthog_user (id, password, email, is_email_verified, is_active, first_name, last_name, role_at_organization)
SELECT 1000 + i, (ARRAY['$DJANGO', '$DJANGO', '!unusable', ''])[1 + pg_temp.pick('hash', i, 4)], 'person' || i || '@corp.example', (ARRAY[true, true, false, NULL])[1 + pg_temp.pick('verified', i, 4)],
    pg_temp.pick('active', i, 10) > 0, 'Person', i::text, CASE WHEN i % 3 = 0 THEN 'owner' END
FROM generate_series(1, 150) i;
INSERT INTO posthog_organizationmembership (organization_id, user_id, level)
SELECT DISTINCT ON (1, 2) ('00000000-0000-0001-0000-' || lpad((1 + pg_temp.pick('organization' || j, i, 12))::text, 12, '0'))::uuid, 1000 + i, CASE pg_temp.pick('level', i, 4) WHEN 0 THEN 8 ELSE 1 END
FROM generate_series(1, 150) i, generate_series(1, 2) j ORDER BY 1, 2;
UPDATE posthog_organizationmembership m SET level = 15 WHERE user_id = (SELECT min(user_id) FROM posthog_organizationmembership o WHERE o.organization_id = m.organization_id);
INSERT INTO posthog_organizationdomain (organization_id, domain, verified_at, verification_challenge, jit_provisioning_enabled, sso_enforcement, saml_entity_id)
SELECT id, slug || '.example', CASE WHEN pg_temp.pick('domain', n, 3) > 0 THEN now() END, 'challenge', pg_temp.pick('jit', n, 2) = 0, '', CASE WHEN n % 2 = 0 THEN '' END
FROM (SELECT *, row_number() OVER (ORDER BY slug) AS n FROM posthog_organization) o;

INSERT INTO posthog_organization (id, name, slug) VALUES
    ('00000000-0000-0009-0000-000000000001', 'Traps', 'traps'), ('00000000-0000-0009-0000-000000000002', 'Unproven', 'unproven'), ('00000000-0000-0009-0000-000000000003', 'Short', 's');
INSERT INTO posthog_organizationdomain (organization_id, domain, verified_at, verification_challenge, jit_provisioning_enabled, sso_enforcement, saml_entity_id) VALUES
    ('00000000-0000-0009-0000-000000000001', 'Corp.example', now(), 'challenge', true, 'saml', 'https://idp.corp.example'), ('00000000-0000-0009-0000-000000000001', 'unproven.example', NULL, 'challenge', true, '', NULL),
    ('00000000-0000-0009-0000-000000000002', 'elsewhere.example', NULL, 'challenge', true, 'saml', 'https://idp.elsewhere.example'), ('00000000-0000-0009-0000-000000000002', 'empty.example', now(), 'challenge', false, 'saml', '');
INSERT INTO posthog_user (id, password, email, pending_email, is_email_verified, is_active, first_name, last_name, role_at_organization) VALUES
    (2001, '$DJANGO', 'owner@corp.example', NULL, true, true, 'Owner', '', 'engineer'), (2002, '$DJANGO', 'next@corp.example', 'coming@corp.example', true, true, 'Next', 'Owner', 'founder'),
    (2003, '!', 'social@corp.example', NULL, true, true, '', '', 'owner'), (2004, '$DJANGO', 'inactive@corp.example', NULL, true, false, 'In', 'Active', NULL),
    (2005, '$DJANGO', 'Case@corp.example', NULL, true, true, 'Case', 'One', NULL), (2006, '$DJANGO', 'case@corp.example', NULL, true, true, 'Case', 'Two', NULL),
    (2007, '$DJANGO', 'unverified@corp.example', NULL, NULL, true, 'Un', 'Verified', NULL);
INSERT INTO posthog_organizationmembership (organization_id, user_id, level) SELECT '00000000-0000-0009-0000-000000000001', id, CASE id WHEN 2001 THEN 15 WHEN 2002 THEN 8 ELSE 1 END FROM posthog_user WHERE id BETWEEN 2001 AND 2007;
INSERT INTO posthog_organizationmembership (organization_id, user_id, level) VALUES ('00000000-0000-0009-0000-000000000002', 2001, 1), ('00000000-0000-0009-0000-000000000003', 2001, 15);
INSERT INTO posthog_organizationinvite (organization_id, target_email, first_name, created_at) VALUES ('00000000-0000-0009-0000-000000000001', 'nobody-yet@corp.example', '', now() - interval '4 days');
