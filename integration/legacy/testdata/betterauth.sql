-- Better Auth. Organizations o1 to o12 are used by u1 to u150; what stands below is a trap each.
INSERT INTO organization (id, name, slug, metadata)
SELECT 'o' || i, 'Organization ' || i, 'organization-' || i, CASE pg_temp.pick('metadata', i, 3) WHEN 0 THEN '' WHEN 1 THEN '{"plan": "pro"}' END FROM generate_series(1, 12) i;
INSERT INTO "user" (id, name, email, "emailVerified") SELECT 'u' || i, 'Person ' || i, 'person' || i || '@corp.example', pg_temp.pick('verified', i, 4) > 0
FROM generate_series(1, 150) i;
INSERT INTO account (id, "accountId", "providerId", "userId", password)
SELECT 'c' || i, 'u' || i, 'credential', 'u' || i, '$BETTERAUTH' FROM generate_series(1, 150) i WHERE pg_temp.pick('password', i, 3) > 0
UNION ALL SELECT 'g' || i, i::text, 'github', 'u' || i, NULL FROM generate_series(1, 150, 4) i;
INSERT INTO member (id, "organizationId", "userId", role)
SELECT DISTINCT ON (2, 3) 'm' || i || '-' || j, 'o' || 1 + pg_temp.pick('organization' || j, i, 12), 'u' || i, (ARRAY['member', 'member', 'admin', 'owner,admin', 'auditor'])[1 + pg_temp.pick('role', i, 5)]
FROM generate_series(1, 150) i, generate_series(1, 2) j ORDER BY 2, 3, j;

INSERT INTO organization (id, name, slug) VALUES ('t1', 'Traps', 'traps'), ('t2', 'No Slug', NULL), ('t.é|3', 'Odd Key', 'odd-key'), ('t4', 'Short Slug', 'x');
INSERT INTO "user" (id, name, email, "emailVerified") VALUES
    ('v1', 'Several Roles', 'several@corp.example', true), ('v2', 'Own Role', 'own@corp.example', true), ('v3', 'Twice', 'twice@corp.example', true),
    ('v4', 'Only Social', 'social@corp.example', true), ('v5', 'Nobody Verified', 'unverified@corp.example', false), ('v6', 'Short', 'short@corp.example', true),
    ('v7', 'Invites', 'Invites@corp.example', true), ('v8', 'Cut Hash', 'cut@corp.example', true);
INSERT INTO account (id, "accountId", "providerId", "userId", password) VALUES
    ('d1', 'v1', 'credential', 'v1', '$BETTERAUTH'), ('d1g', '1', 'github', 'v1', NULL), ('d2', 'v2', 'credential', 'v2', '$BETTERAUTH'), ('d3', 'v3', 'credential', 'v3', '$BETTERAUTH'),
    ('d4', '4', 'github', 'v4', NULL), ('d5', 'v5', 'credential', 'v5', '$BETTERAUTH'), ('d8', 'v8', 'credential', 'v8', left('$BETTERAUTH', 100));
INSERT INTO member (id, "organizationId", "userId", role) VALUES
    ('w1', 't1', 'v1', 'owner, admin,,owner'), ('w2', 't1', 'v2', 'auditor,member'), ('w3', 't1', 'v3', 'member'), ('w3again', 't1', 'v3', 'admin'), ('w4', 't1', 'v4', 'member'),
    ('w5', 't1', 'v5', 'member'), ('w6', 't4', 'v6', 'owner'), ('w7', 't2', 'v7', 'owner'), ('w7odd', 't.é|3', 'v7', ''), ('w8', 't1', 'v8', 'member');
INSERT INTO invitation (id, "organizationId", email, role, status, "expiresAt", "inviterId") VALUES ('i1', 't1', 'nobody-yet@corp.example', 'member', 'pending', now() + interval '1 day', 'v1');
INSERT INTO "organizationRole" (id, "organizationId", role, permission) VALUES ('r1', 't1', 'auditor', 'log:read'), ('r2', 't2', 'auditor', 'all:read');
