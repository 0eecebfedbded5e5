-- Supabase Auth. Organizations 1 to 12 (…-0001-…) are used by users 1 to 150 (…-0002-…); what
-- stands below (…-0009-…) is a trap each.
CREATE INDEX ON auth.identities (user_id); -- Supabase's too
CREATE FUNCTION pg_temp.key(kind int, i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    AS $$ SELECT ('00000000-0000-' || lpad(kind::text, 4, '0') || '-0000-' || lpad(i::text, 12, '0'))::uuid $$;
INSERT INTO public.organizations (id, name, slug) SELECT pg_temp.key(1, i), 'Organization ' || i, 'organization-' || i FROM generate_series(1, 12) i;
INSERT INTO auth.users (id, aud, role, email, encrypted_password, email_confirmed_at, raw_user_meta_data, banned_until, deleted_at)
SELECT pg_temp.key(2, i), 'authenticated', 'authenticated', 'person' || i || '@corp.example', (ARRAY['$BCRYPT', '$ARGON2ID', '$FIREBASE', '', NULL])[1 + pg_temp.pick('hash', i, 5)],
    CASE WHEN pg_temp.pick('confirmed', i, 5) > 0 THEN now() END, jsonb_build_object('name', 'Person ' || i, 'theme', 'dark'),
    CASE WHEN pg_temp.pick('banned', i, 15) = 0 THEN now() + interval '1 year' END, CASE WHEN pg_temp.pick('deleted', i, 15) = 0 THEN now() END
FROM generate_series(1, 150) i;
INSERT INTO auth.identities (provider_id, user_id, identity_data, provider)
SELECT pg_temp.key(2, i)::text, pg_temp.key(2, i), jsonb_build_object('email', 'Person' || i || '@corp.example'), 'email' FROM generate_series(1, 150) i
UNION ALL SELECT i::text, pg_temp.key(2, i), jsonb_build_object('email', 'Private' || i || '@example.com'), 'github' FROM generate_series(1, 150, 6) i;
INSERT INTO public.memberships (organization_id, user_id, role)
SELECT DISTINCT pg_temp.key(1, 1 + pg_temp.pick('organization' || j, i, 12)), pg_temp.key(2, i), (ARRAY['member', 'admin', 'owner', 'billing'])[1 + pg_temp.pick('role', i, 4)]
FROM generate_series(1, 150) i, generate_series(1, 2) j;

INSERT INTO public.organizations (id, name, slug) VALUES (pg_temp.key(9, 1), 'Traps', 'traps'), (pg_temp.key(9, 2), 'Other', 'other');
INSERT INTO auth.users (id, email, encrypted_password, email_confirmed_at, email_change, phone, raw_user_meta_data, banned_until, deleted_at, is_sso_user, is_anonymous) VALUES
    (pg_temp.key(9, 11), 'same@corp.example', '$BCRYPT', now(), '', NULL, '{"name": "Password"}', NULL, NULL, false, false),
    (pg_temp.key(9, 12), 'same@corp.example', NULL, now(), '', NULL, '{"name": "Single Sign-On"}', NULL, NULL, true, false),
    (pg_temp.key(9, 13), 'argon@corp.example', '$ARGON2ID', now(), 'changed@corp.example', NULL, '{}', NULL, NULL, false, false),
    (pg_temp.key(9, 14), 'firebase@corp.example', '$FIREBASE', now(), '', NULL, '{"organization_id": "00000000-0000-0009-0000-000000000002", "role": "owner"}', NULL, NULL, false, false),
    (pg_temp.key(9, 15), NULL, NULL, NULL, NULL, '15550100', '{}', NULL, NULL, false, false),
    (pg_temp.key(9, 16), NULL, NULL, NULL, NULL, NULL, '{}', NULL, NULL, false, true),
    (pg_temp.key(9, 17), 'banned@corp.example', NULL, now(), '', NULL, '{}', now() + interval '1 day', NULL, false, false),
    (pg_temp.key(9, 18), 'deleted@corp.example', NULL, now(), '', NULL, '{}', NULL, now(), false, false),
    (pg_temp.key(9, 19), 'large@corp.example', '$BCRYPT', now(), '', NULL,
     jsonb_build_object('name', 'Large', 'theme', 'light', 'rest', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i)), NULL, NULL, false, false); -- TOASTed
INSERT INTO auth.identities (provider_id, user_id, identity_data, provider) VALUES ('13', pg_temp.key(9, 13), '{"email": "Argon@Corp.Example"}', 'email');
INSERT INTO public.memberships (organization_id, user_id, role) SELECT pg_temp.key(9, 1), pg_temp.key(9, i), CASE i WHEN 13 THEN 'billing' WHEN 14 THEN 'admin' ELSE 'member' END FROM generate_series(11, 19) i;
DROP FUNCTION pg_temp.key;
