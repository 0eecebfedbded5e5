-- PostHog: Django's names, integer users and uuid organizations, roles as numbers.
CREATE TABLE posthog_organization (
    id uuid PRIMARY KEY, name varchar(64) NOT NULL, slug varchar(48) NOT NULL UNIQUE, created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(), setup_section_2_completed boolean NOT NULL DEFAULT true, personalization jsonb NOT NULL DEFAULT '{}');
CREATE TABLE posthog_user (
    id serial PRIMARY KEY, uuid uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(), password varchar(128) NOT NULL, last_login timestamptz,
    email varchar(254) NOT NULL UNIQUE, pending_email varchar(254), is_email_verified boolean, is_active boolean NOT NULL DEFAULT true,
    is_staff boolean NOT NULL DEFAULT false, first_name varchar(150) NOT NULL, last_name varchar(150) NOT NULL, distinct_id varchar(200) UNIQUE,
    current_organization_id uuid REFERENCES posthog_organization (id), current_team_id int, temporary_token varchar(200) UNIQUE, role_at_organization varchar(64));
CREATE TABLE posthog_organizationmembership (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), organization_id uuid NOT NULL REFERENCES posthog_organization (id), user_id int NOT NULL REFERENCES posthog_user (id),
    level smallint NOT NULL, joined_at timestamptz NOT NULL DEFAULT now(), CONSTRAINT unique_organization_membership UNIQUE (organization_id, user_id));
CREATE UNIQUE INDEX only_one_owner_per_organization ON posthog_organizationmembership (organization_id) WHERE level = 15;
CREATE TABLE posthog_organizationinvite (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), organization_id uuid NOT NULL REFERENCES posthog_organization (id), target_email varchar(254),
    first_name varchar(30) NOT NULL, created_by_id int REFERENCES posthog_user (id), created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE posthog_organizationdomain (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), organization_id uuid NOT NULL REFERENCES posthog_organization (id), domain varchar(128) NOT NULL UNIQUE,
    verified_at timestamptz, verification_challenge varchar(128) NOT NULL, jit_provisioning_enabled boolean NOT NULL, sso_enforcement varchar(28) NOT NULL,
    saml_entity_id varchar(512), saml_acs_url varchar(512), saml_x509_cert text);
INSERT INTO posthog_organization (id, name, slug) VALUES
    ('00000000-0000-0000-0000-000000000001', 'Canary Works', 'canary-works'), ('00000000-0000-0000-0000-000000000002', 'Canary Two', 'c');
INSERT INTO posthog_user (id, password, email, is_email_verified, is_active, first_name, last_name, current_organization_id, role_at_organization) VALUES
    (1, 'pbkdf2_sha256$260000$canarysalt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', 'canary1@corp.example', true, true, 'Canary', 'One', '00000000-0000-0000-0000-000000000001', 'canary engineer'),
    (2, '!canaryunusable', 'Canary1@corp.example', NULL, true, 'Canary', '', '00000000-0000-0000-0000-000000000001', 'canary founder'),
    (3, 'pbkdf2_sha256$260000$canarysalt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', 'canary3@corp.example', true, false, 'Canary', 'Three', NULL, NULL),
    (4, '', 'canary4@corp.example', false, true, 'Canary', 'Four', NULL, NULL);
INSERT INTO posthog_organizationmembership (organization_id, user_id, level) VALUES
    ('00000000-0000-0000-0000-000000000001', 1, 15), ('00000000-0000-0000-0000-000000000001', 2, 1), ('00000000-0000-0000-0000-000000000002', 1, 8), ('00000000-0000-0000-0000-000000000002', 3, 1);
INSERT INTO posthog_organizationinvite (organization_id, target_email, first_name) VALUES ('00000000-0000-0000-0000-000000000001', 'canary5@corp.example', 'Canary');
