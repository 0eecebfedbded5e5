-- BoxyHQ's SaaS starter kit: quoted mixed-case names, memberships between users and teams.
CREATE TYPE "Role" AS ENUM ('ADMIN', 'OWNER', 'MEMBER');
CREATE TABLE "User" (
    id text PRIMARY KEY, name text, email text NOT NULL UNIQUE, "emailVerified" timestamp(3), password text,
    "lockedAt" timestamp(3), "createdAt" timestamp(3) NOT NULL DEFAULT now());
CREATE TABLE "Team" (
    id text PRIMARY KEY, name text NOT NULL, slug text NOT NULL UNIQUE, domain text UNIQUE, "defaultRole" "Role" NOT NULL DEFAULT 'MEMBER');
CREATE TABLE "TeamMember" (
    id text PRIMARY KEY, "teamId" text NOT NULL REFERENCES "Team" (id), "userId" text NOT NULL REFERENCES "User" (id),
    role "Role" NOT NULL DEFAULT 'MEMBER', UNIQUE ("teamId", "userId"));
CREATE TABLE "Invitation" (
    id text PRIMARY KEY, "teamId" text NOT NULL REFERENCES "Team" (id), email text, role "Role" NOT NULL, token text NOT NULL UNIQUE,
    expires timestamp(3) NOT NULL, "invitedBy" text NOT NULL REFERENCES "User" (id), "allowedDomains" text[] NOT NULL DEFAULT '{}');
INSERT INTO "User" VALUES
    ('u1', 'Canary One', 'canary1@corp.example', now(), '$2b$12$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e', NULL),
    ('u2', 'Canary Two', 'canary2@corp.example', NULL, '$2b$12$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e', NULL),
    ('u3', NULL, 'Canary2@corp.example', now(), NULL, now());
INSERT INTO "Team" VALUES ('t1', 'Canary Works', 'canary-works', NULL), ('t2', 'Canary Ltd', 'canary ltd', NULL);
INSERT INTO "TeamMember" VALUES ('m1', 't1', 'u1', 'OWNER'), ('m2', 't1', 'u2', 'MEMBER'), ('m3', 't2', 'u1', 'MEMBER');
INSERT INTO "Invitation" VALUES ('i1', 't1', 'canary3@corp.example', 'MEMBER', 'canary-token', now(), 'u1');
