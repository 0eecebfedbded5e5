-- Better Auth: camelCase columns, a reserved word for the users, several roles in one text,
-- the password among the accounts of other providers.
CREATE TABLE "user" (
    id text PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE, "emailVerified" boolean NOT NULL, image text, "createdAt" timestamp NOT NULL DEFAULT now(),
    "updatedAt" timestamp NOT NULL DEFAULT now());
CREATE TABLE session (
    id text PRIMARY KEY, "expiresAt" timestamp NOT NULL, token text NOT NULL UNIQUE, "userId" text NOT NULL REFERENCES "user" (id), "activeOrganizationId" text, "activeTeamId" text);
CREATE TABLE account (
    id text PRIMARY KEY, "accountId" text NOT NULL, "providerId" text NOT NULL, issuer text, "userId" text NOT NULL REFERENCES "user" (id), "accessToken" text, password text);
CREATE TABLE verification (id text PRIMARY KEY, identifier text NOT NULL, value text NOT NULL, "expiresAt" timestamp NOT NULL);
CREATE TABLE organization (id text PRIMARY KEY, name text NOT NULL, slug text UNIQUE, logo text, "createdAt" timestamp NOT NULL DEFAULT now(), metadata text);
CREATE TABLE member (
    id text PRIMARY KEY, "organizationId" text NOT NULL REFERENCES organization (id), "userId" text NOT NULL REFERENCES "user" (id), role text NOT NULL, "createdAt" timestamp NOT NULL DEFAULT now());
CREATE TABLE invitation (
    id text PRIMARY KEY, "organizationId" text NOT NULL REFERENCES organization (id), email text NOT NULL, role text, status text NOT NULL, "teamId" text,
    "expiresAt" timestamp NOT NULL, "inviterId" text NOT NULL REFERENCES "user" (id));
CREATE TABLE team (id text PRIMARY KEY, name text NOT NULL, "organizationId" text NOT NULL REFERENCES organization (id), "createdAt" timestamp NOT NULL DEFAULT now());
CREATE TABLE "teamMember" (id text PRIMARY KEY, "teamId" text NOT NULL REFERENCES team (id), "userId" text NOT NULL REFERENCES "user" (id), "createdAt" timestamp);
CREATE TABLE "organizationRole" (id text PRIMARY KEY, "organizationId" text NOT NULL REFERENCES organization (id), role text NOT NULL, permission text NOT NULL);
INSERT INTO "user" (id, name, email, "emailVerified") VALUES ('u1', 'Canary One', 'canary1@corp.example', true), ('u2', 'Canary Two', 'canary2@corp.example', false), ('u3', 'Canary Three', 'canary3@corp.example', true);
INSERT INTO account (id, "accountId", "providerId", "userId", password) VALUES
    ('a1', 'u1', 'credential', 'u1', '00112233445566778899aabbccddeeff:' || repeat('0f', 64)), ('a2', 'canary', 'github', 'u1', NULL), ('a3', 'canary2', 'github', 'u2', NULL);
INSERT INTO organization (id, name, slug) VALUES ('o1', 'Canary Works', 'canary-works'), ('o2', 'Canary Two', NULL);
INSERT INTO member (id, "organizationId", "userId", role) VALUES ('m1', 'o1', 'u1', 'owner,admin'), ('m2', 'o1', 'u2', 'member'), ('m3', 'o2', 'u1', 'member');
INSERT INTO invitation VALUES ('i1', 'o1', 'canary9@corp.example', 'member', 'pending', NULL, now(), 'u1');
INSERT INTO team (id, name, "organizationId") VALUES ('t1', 'Canary Team', 'o1');
INSERT INTO "teamMember" (id, "teamId", "userId") VALUES ('x1', 't1', 'u1');
