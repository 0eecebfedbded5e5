-- A small legacy system with one trap of each kind. Whatever a report must not show has
-- "canary" in it.
CREATE TABLE teams (id int PRIMARY KEY, name text, slug text, domain text, notes text, deleted_at timestamptz);
CREATE TABLE people (id int PRIMARY KEY, email text, name text, password text, confirmed boolean NOT NULL DEFAULT true);
CREATE TABLE memberships (team_id int, person_id int, role text, PRIMARY KEY (team_id, person_id)); -- no foreign keys
CREATE TABLE badges (person_id int, badge text, PRIMARY KEY (person_id, badge));

INSERT INTO teams (id, name, slug, domain)
	SELECT n, 'Canary Team ' || n, 'canary-team-' || n, 'team' || n || '.corp.example' FROM generate_series(1, 40) n;
INSERT INTO people (id, email, name, password)
	SELECT n, 'canary' || n || '@corp.example', 'Canary ' || n, '$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy' FROM generate_series(1, 400) n;
INSERT INTO memberships SELECT 1 + n % 40, n, CASE WHEN n % 10 = 0 THEN 'owner' ELSE 'member' END FROM generate_series(1, 400) n;

-- Collisions: an address twice in one team, a slug twice.
UPDATE people SET email = 'Canary1@Corp.Example' WHERE id = 41;                    -- with person 1 in team 2
UPDATE teams SET slug = 'canary-team-7' WHERE id = 8;
-- A slug that Stytch refuses.
UPDATE teams SET slug = 'canary team 9!' WHERE id = 9;
-- Hashes that Stytch does not take, and one that is broken.
UPDATE people SET password = '$1$canary$qhTJKsy.CaqxHN0p7Gvmr.' WHERE id IN (2, 3, 4);
UPDATE people SET password = '$2a$10$canary' WHERE id = 5;
UPDATE people SET confirmed = false WHERE id = 21;
-- A domain that Stytch refuses, for it belongs to nobody.
UPDATE teams SET domain = 'gmail.com' WHERE id = 10;
-- Metadata that is too large.
UPDATE teams SET notes = repeat('canary ', 1000) WHERE id = 11;
-- A role that the project does not have.
UPDATE memberships SET role = 'superuser' WHERE person_id IN (12, 13);
-- Two rows for one key: a person with two badges.
INSERT INTO badges VALUES (14, 'canary-gold'), (14, 'canary-silver'), (15, 'canary-gold');
-- Addresses that are missing and that are none.
UPDATE people SET email = NULL WHERE id = 16;
UPDATE people SET email = 'canary at corp.example' WHERE id = 17;
-- A team that the mapping leaves out, and with it its members.
UPDATE teams SET deleted_at = now() WHERE id = 20;
-- Memberships of nobody, and of no team; a person in no team.
INSERT INTO memberships VALUES (1, 9001, 'member'), (9000, 18, 'member');
INSERT INTO people (id, email, name) VALUES (500, 'canary500@corp.example', 'Canary 500');
