-- Cal.com. Organizations are 101 to 110, each with two teams below it (201 to 220), teams
-- that stand alone 301 to 315; 1001 to 1150 use them. What stands below is a trap each.
-- UserPassword has a unique key and no primary one.
ALTER TABLE "UserPassword" ADD PRIMARY KEY ("userId");
INSERT INTO "Team" (id, name, slug, "parentId", "isOrganization")
    SELECT 100 + i, 'Organization ' || i, 'organization-' || i, NULL, true FROM generate_series(1, 10) i
    UNION ALL SELECT 200 + i, 'Team ' || i, CASE i % 2 WHEN 0 THEN 'sales' ELSE 'support' END, 101 + (i - 1) / 2, false FROM generate_series(1, 20) i
    UNION ALL SELECT 300 + i, 'Alone ' || i, 'alone-' || i, NULL, false FROM generate_series(1, 15) i;
INSERT INTO users (id, username, name, email, "emailVerified", "identityProvider", metadata)
SELECT 1000 + i, 'person' || i, CASE WHEN pg_temp.pick('name', i, 7) > 0 THEN 'Person ' || i END, 'person' || i || '@corp.example',
    CASE WHEN pg_temp.pick('verified', i, 5) > 0 THEN now() END, (ARRAY['CAL', 'CAL', 'GOOGLE', 'SAML'])[1 + pg_temp.pick('provider', i, 4)]::"IdentityProvider",
    jsonb_build_object('customer', 'cus_' || i)
FROM generate_series(1, 150) i;
INSERT INTO "UserPassword" (hash, "userId") SELECT '$BCRYPT', 1000 + i FROM generate_series(1, 150) i WHERE pg_temp.pick('password', i, 4) > 0;
INSERT INTO "Membership" ("teamId", "userId", accepted, role)
SELECT DISTINCT ON (1, 2) team.id, 1000 + i, pg_temp.pick('accepted' || j, i, 8) > 0, (ARRAY['MEMBER', 'MEMBER', 'ADMIN', 'OWNER'])[1 + pg_temp.pick('role' || j, i, 4)]::"MembershipRole"
FROM generate_series(1, 150) i, generate_series(1, 3) j,
    LATERAL (SELECT id FROM "Team" WHERE id < 390 ORDER BY hashtext(id || 'team' || i || j || '$SEED'), id LIMIT 1) team
ORDER BY 1, 2, j;
INSERT INTO "SecondaryEmail" ("userId", email, "emailVerified") SELECT 1000 + i, 'second' || i || '@corp.example', CASE WHEN i % 2 = 0 THEN now() END
FROM generate_series(1, 150, 9) i;

INSERT INTO "Team" (id, name, slug, "isOrganization", "pendingPayment") VALUES
    (391, 'Same Slug One', 'same', true, false), (392, 'Same Slug Two', 'same', true, false), -- NULL parents: the unique key lets both in
    (393, 'Alone As An Organization', 'organization-1', false, false), (394, 'No Slug', NULL, false, false), (395, 'Not Paid', 'not-paid', false, true);
INSERT INTO users (id, name, email, "emailVerified", "identityProvider", locked, metadata) VALUES
    (2001, 'Owner Below', 'owner-below@corp.example', now(), 'CAL', false, NULL),
    (2002, 'Invited', 'invited@corp.example', now(), 'CAL', false, NULL),
    (2003, 'Locked', 'locked@corp.example', now(), 'CAL', true, NULL),
    (2004, 'Saml', 'saml@corp.example', now(), 'SAML', false, NULL),
    (2005, 'Unverified', 'unverified@corp.example', NULL, 'CAL', false, NULL),
    (2006, 'Twin One', 'Twin@corp.example', now(), 'CAL', false, NULL),
    (2007, 'Twin Two', 'twin@corp.example', now(), 'CAL', false, NULL),
    (2008, 'Everywhere', 'Everywhere@corp.example', now(), 'CAL', false, NULL),
    (2009, 'Nowhere', 'nowhere@corp.example', now(), 'CAL', false, NULL),
    (2010, 'Large', 'large@corp.example', now(), 'CAL', false,
     jsonb_build_object('customer', 'cus_large', 'rest', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i))), -- TOASTed
    (2011, 'Second', 'first@corp.example', now(), 'CAL', false, NULL),
    (2012, 'Below Only', 'below@corp.example', now(), 'CAL', false, NULL),
    (2013, 'Same One', 'same1@corp.example', now(), 'CAL', false, NULL),
    (2014, 'Same Two', 'same2@corp.example', now(), 'CAL', false, NULL);
INSERT INTO "UserPassword" (hash, "userId") SELECT '$BCRYPT', id FROM users WHERE id BETWEEN 2001 AND 2012;
INSERT INTO "Membership" ("teamId", "userId", accepted, role) VALUES
    (101, 2001, true, 'MEMBER'), (201, 2001, true, 'OWNER'), (101, 2002, false, 'MEMBER'), (101, 2003, true, 'MEMBER'), (102, 2004, true, 'MEMBER'),
    (102, 2005, true, 'MEMBER'), (103, 2006, true, 'MEMBER'), (103, 2007, true, 'MEMBER'), (101, 2008, true, 'ADMIN'), (205, 2008, true, 'MEMBER'), (301, 2008, true, 'OWNER'),
    (104, 2010, true, 'MEMBER'), (104, 2011, true, 'MEMBER'), (210, 2012, true, 'ADMIN'), (391, 2013, true, 'OWNER'), (392, 2014, true, 'OWNER'),
    (393, 2008, true, 'MEMBER'), (394, 2008, true, 'MEMBER'), (395, 2001, true, 'OWNER');
INSERT INTO "SecondaryEmail" ("userId", email, "emailVerified") VALUES (2011, 'Second@corp.example', now()), (2011, 'unproven@corp.example', NULL);
INSERT INTO "VerificationToken" (identifier, token, expires, "teamId") VALUES ('nobody-yet@corp.example', 'token', now() + interval '1 day', 101);
