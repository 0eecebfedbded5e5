-- Cal.com: teams below organizations, the password in a table of its own, a second table
-- (Profile) that connects users and teams too, a tenant's column on users that nobody uses.
CREATE TYPE "IdentityProvider" AS ENUM ('CAL', 'GOOGLE', 'SAML');
CREATE TYPE "UserPermissionRole" AS ENUM ('USER', 'ADMIN');
CREATE TYPE "MembershipRole" AS ENUM ('MEMBER', 'ADMIN', 'OWNER');
CREATE TABLE "Team" (
    id serial PRIMARY KEY, name text NOT NULL, slug text, "parentId" int REFERENCES "Team" (id) ON DELETE CASCADE,
    "isOrganization" boolean NOT NULL DEFAULT false, "isPlatform" boolean NOT NULL DEFAULT false, "pendingPayment" boolean NOT NULL DEFAULT false,
    metadata jsonb, UNIQUE (slug, "parentId"));
CREATE TABLE users (
    id serial PRIMARY KEY, username text, name text, email text NOT NULL UNIQUE, "emailVerified" timestamp(3),
    "identityProvider" "IdentityProvider" NOT NULL DEFAULT 'CAL', "identityProviderId" text, "twoFactorSecret" text,
    "twoFactorEnabled" boolean NOT NULL DEFAULT false, "backupCodes" text, role "UserPermissionRole" NOT NULL DEFAULT 'USER',
    locked boolean NOT NULL DEFAULT false, "disableImpersonation" boolean NOT NULL DEFAULT false, "invitedTo" int,
    "organizationId" int REFERENCES "Team" (id) ON DELETE SET NULL, "movedToProfileId" int, metadata jsonb, created timestamp(3) NOT NULL DEFAULT now());
CREATE TABLE "UserPassword" (hash text NOT NULL, "userId" int NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE);
CREATE TABLE "SecondaryEmail" (
    id serial PRIMARY KEY, "userId" int NOT NULL REFERENCES users (id) ON DELETE CASCADE, email text NOT NULL UNIQUE, "emailVerified" timestamp(3));
CREATE TABLE "OrganizationSettings" (
    id serial PRIMARY KEY, "organizationId" int NOT NULL UNIQUE REFERENCES "Team" (id) ON DELETE CASCADE, "isOrganizationVerified" boolean NOT NULL DEFAULT false,
    "orgAutoAcceptEmail" text NOT NULL, "isAdminReviewed" boolean NOT NULL DEFAULT false);
CREATE TABLE "Membership" (
    id serial PRIMARY KEY, "teamId" int NOT NULL REFERENCES "Team" (id) ON DELETE CASCADE, "userId" int NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    accepted boolean NOT NULL DEFAULT false, role "MembershipRole" NOT NULL, UNIQUE ("userId", "teamId"));
CREATE TABLE "Profile" (
    id serial PRIMARY KEY, uid text NOT NULL, "userId" int NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    "organizationId" int NOT NULL REFERENCES "Team" (id) ON DELETE CASCADE, username text NOT NULL, UNIQUE ("userId", "organizationId"));
CREATE TABLE "VerificationToken" (
    id serial PRIMARY KEY, identifier text NOT NULL, token text NOT NULL UNIQUE, expires timestamp(3) NOT NULL, "teamId" int REFERENCES "Team" (id));
INSERT INTO "Team" (id, name, slug, "parentId", "isOrganization") VALUES
    (1, 'Canary Works', 'canary', NULL, true), (2, 'Canary Sales', 'sales', 1, false), (3, 'Canary Solo', 'sales', NULL, false), (4, 'Canary Draft', NULL, NULL, false);
INSERT INTO users (id, username, name, email, "emailVerified", "identityProvider") VALUES
    (1, 'canary1', 'Canary One', 'canary1@corp.example', now(), 'CAL'), (2, 'canary2', 'Canary Two', 'canary2@corp.example', now(), 'SAML'),
    (3, 'canary3', 'Canary Three', 'canary3@corp.example', NULL, 'CAL'), (4, NULL, NULL, 'canary4@corp.example', NULL, 'CAL');
INSERT INTO "UserPassword" VALUES ('$2b$12$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e', 1), ('$2b$12$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e', 3);
INSERT INTO "Membership" ("teamId", "userId", accepted, role) VALUES (1, 1, true, 'OWNER'), (2, 1, true, 'ADMIN'), (1, 2, true, 'MEMBER'), (2, 2, false, 'MEMBER'), (3, 3, true, 'OWNER');
INSERT INTO "Profile" (uid, "userId", "organizationId", username) VALUES ('p1', 1, 1, 'canary1'), ('p2', 2, 1, 'canary2');
INSERT INTO "VerificationToken" (identifier, token, expires, "teamId") VALUES ('canary5@corp.example', 'canary-token', now(), 1);
