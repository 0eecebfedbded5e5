-- Mattermost. team1 to team12 are used by user1 to user150; what stands below is a trap each.
INSERT INTO teams (id, createat, deleteat, displayname, name, type, alloweddomains)
SELECT 'team' || i, 1600000000000, CASE WHEN i = 12 THEN 1700000000000 ELSE 0 END, 'Team ' || i, 'team-' || i, 'O', CASE pg_temp.pick('domains', i, 3) WHEN 0 THEN '' WHEN 1 THEN 'team' || i || '.example' END
FROM generate_series(1, 12) i;
INSERT INTO users (id, createat, deleteat, username, password, authdata, authservice, email, emailverified, nickname, firstname, lastname, roles, remoteid)
SELECT 'user' || i, 1600000000000 + i * 86400000::bigint, CASE WHEN pg_temp.pick('deleted', i, 15) = 0 THEN 1700000000000 ELSE 0 END, 'user' || i,
    CASE s WHEN '' THEN CASE pg_temp.pick('hash', i, 2) WHEN 0 THEN '$MATTERMOST' ELSE '$BCRYPT' END ELSE '' END, CASE WHEN s <> '' THEN 'data' || i END, s,
    'User' || i || '@corp.example', pg_temp.pick('verified', i, 4) > 0, CASE WHEN pg_temp.pick('nick', i, 3) = 0 THEN 'Nick ' || i ELSE '' END, 'Person', i::text, 'system_user',
    CASE WHEN pg_temp.pick('remote', i, 20) = 0 THEN 'remote' END
FROM generate_series(1, 150) i, LATERAL (SELECT (ARRAY['', '', '', 'saml', 'ldap'])[1 + pg_temp.pick('service', i, 5)] AS s) x;
INSERT INTO teammembers
SELECT DISTINCT ON (1, 2) 'team' || 1 + pg_temp.pick('team' || j, i, 12), 'user' || i, (ARRAY['', 'team_user', 'team_user custom_lead', NULL])[1 + pg_temp.pick('words' || j, i, 4)],
    CASE WHEN pg_temp.pick('left' || j, i, 10) = 0 THEN 1700000000000 ELSE 0 END, pg_temp.pick('user' || j, i, 5) > 0, pg_temp.pick('admin' || j, i, 6) = 0, CASE WHEN pg_temp.pick('guest' || j, i, 2) = 0 THEN false END
FROM generate_series(1, 150) i, generate_series(1, 2) j ORDER BY 1, 2, j;

INSERT INTO teams (id, createat, deleteat, displayname, name, type, alloweddomains) VALUES
    ('traps', 1600000000000, 0, 'Traps', 'traps', 'I', ' Corp.example,second.example,, '), ('deleted', 1600000000000, 1700000000000, 'Deleted', 'deleted', 'O', NULL);
INSERT INTO users (id, createat, deleteat, username, password, authdata, authservice, email, emailverified, nickname, firstname, lastname, remoteid) VALUES
    ('words', 1600000000000, 0, 'words', '$MATTERMOST', NULL, '', 'words@corp.example', true, '', 'Words', '', NULL),
    ('bcrypt', 1600000000000, 0, 'bcrypt', '$BCRYPT', NULL, '', 'bcrypt@corp.example', true, 'Nick', 'Bcrypt', '', ''),
    ('saml', 1600000000000, 0, 'saml', '', 'data', 'saml', 'saml@corp.example', true, '', '', '', NULL),
    ('switches', 1600000000000, 0, 'switches', '$MATTERMOST', NULL, '', 'switches@corp.example', true, '', '', '', NULL),
    ('remote', 1600000000000, 0, 'remote', '', NULL, '', 'remote@corp.example', true, '', '', '', 'elsewhere'),
    ('gone', 1600000000000, 1700000000000, 'gone', '', NULL, '', 'gone@corp.example', true, '', '', '', NULL),
    ('twin1', 1600000000000, 0, 'twin1', '', NULL, '', 'Twin@corp.example', true, '', '', '', NULL),
    ('twin2', 1600000000000, 0, 'twin2', '', NULL, '', 'twin@corp.example', true, '', '', '', NULL),
    ('leaver', 1600000000000, 0, 'leaver', '$MATTERMOST', NULL, '', 'leaver@corp.example', true, '', '', '', NULL),
    ('guest', 1600000000000, 0, 'guest', '$MATTERMOST', NULL, '', 'guest@corp.example', false, '', '', '', NULL);
INSERT INTO teammembers VALUES
    ('traps', 'words', 'team_admin custom_lead team_user', 0, false, false, NULL), ('traps', 'bcrypt', '', 0, true, true, false), ('traps', 'saml', '', 0, true, false, false),
    ('traps', 'switches', '', 0, true, false, false), ('traps', 'remote', '', 0, true, false, false), ('traps', 'gone', '', 0, true, false, false),
    ('traps', 'twin1', '', 0, true, false, false), ('traps', 'twin2', '', 0, true, false, false), ('traps', 'leaver', '', 0, true, false, false), ('traps', 'guest', NULL, 0, false, false, true),
    ('deleted', 'words', '', 0, true, false, false), ('traps', 'orphan', '', 0, true, false, false), ('orphan', 'words', '', 0, true, false, false); -- neither is there
