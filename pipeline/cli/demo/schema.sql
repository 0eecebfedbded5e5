-- The tables of the BoxyHQ SaaS starter kit that matter to authentication.
CREATE TYPE "Role" AS ENUM ('ADMIN', 'OWNER', 'MEMBER');

CREATE TABLE "User" (
    id              text PRIMARY KEY,
    name            text,
    email           text NOT NULL UNIQUE,
    "emailVerified" timestamp(3),
    password        text,
    image           text,
    "lockedAt"      timestamp(3),
    "createdAt"     timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt"     timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE "Team" (
    id            text PRIMARY KEY,
    name          text NOT NULL,
    slug          text NOT NULL UNIQUE,
    domain        text UNIQUE,
    "defaultRole" "Role" NOT NULL DEFAULT 'MEMBER',
    "createdAt"   timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt"   timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE "TeamMember" (
    id          text PRIMARY KEY,
    "teamId"    text NOT NULL REFERENCES "Team" (id) ON DELETE CASCADE,
    "userId"    text NOT NULL REFERENCES "User" (id) ON DELETE CASCADE,
    role        "Role" NOT NULL DEFAULT 'MEMBER',
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE ("teamId", "userId")
);
CREATE INDEX ON "TeamMember" ("userId");

CREATE TABLE "Invitation" (
    id               text PRIMARY KEY,
    "teamId"         text NOT NULL REFERENCES "Team" (id) ON DELETE CASCADE,
    email            text,
    role             "Role" NOT NULL DEFAULT 'MEMBER',
    token            text NOT NULL UNIQUE,
    expires          timestamp(3) NOT NULL,
    "invitedBy"      text NOT NULL REFERENCES "User" (id) ON DELETE CASCADE,
    "sentViaEmail"   boolean NOT NULL DEFAULT true,
    "allowedDomains" text[] NOT NULL DEFAULT '{}',
    "createdAt"      timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt"      timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);
