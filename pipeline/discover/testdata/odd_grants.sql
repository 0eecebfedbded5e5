-- Invitations are memberships without a user; roles are granted by rows of a third table, which
-- a bridge names; states are words; users are known by uuid, and by a number that tables use.
CREATE TABLE workspaces (id bigserial PRIMARY KEY, title text, url_slug varchar(64));
CREATE TABLE people (id bigserial PRIMARY KEY, uuid uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(), mail text NOT NULL, given_name text, family_name text, email_confirmed boolean);
CREATE UNIQUE INDEX ON people (lower(mail));
CREATE TABLE workspace_memberships (
    id bigserial PRIMARY KEY, workspace_id bigint NOT NULL REFERENCES workspaces (id), person_id bigint REFERENCES people (id), invited_email text,
    invited_by_id bigint REFERENCES people (id), state text NOT NULL DEFAULT 'active', is_bot boolean);
CREATE TABLE member_grants (membership_id bigint NOT NULL REFERENCES workspace_memberships (id), role text NOT NULL, PRIMARY KEY (membership_id, role));
CREATE TABLE person_sessions (id bigserial PRIMARY KEY, person_id bigint NOT NULL REFERENCES people (id), workspace_id bigint NOT NULL REFERENCES workspaces (id), UNIQUE (person_id, workspace_id));
INSERT INTO workspaces (title, url_slug) VALUES ('Canary Works', 'canary-works'), (NULL, NULL);
INSERT INTO people (mail, given_name, family_name, email_confirmed) VALUES ('canary1@corp.example', 'Canary', 'One', true), ('canary2@corp.example', 'Canary', NULL, NULL);
INSERT INTO workspace_memberships (workspace_id, person_id, invited_email, invited_by_id, state) VALUES (1, 1, NULL, NULL, 'active'), (1, NULL, 'canary3@corp.example', 1, 'invited'), (2, 2, NULL, 1, 'left');
INSERT INTO member_grants VALUES (1, 'admin'), (1, 'billing');
