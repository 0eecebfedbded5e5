-- Supabase Auth alone: users in a schema of their own, under row-level security, and no
-- tenant anywhere; raw_user_meta_data is written by its user.
CREATE SCHEMA auth;
CREATE TABLE auth.users (
    id uuid PRIMARY KEY, instance_id uuid, aud varchar(255), role varchar(255), email varchar(255), encrypted_password varchar(255), email_confirmed_at timestamptz,
    invited_at timestamptz, email_change varchar(255), email_change_confirm_status smallint DEFAULT 0, phone text UNIQUE, raw_app_meta_data jsonb, raw_user_meta_data jsonb,
    is_super_admin boolean, created_at timestamptz, updated_at timestamptz, banned_until timestamptz, deleted_at timestamptz,
    is_sso_user boolean NOT NULL DEFAULT false, is_anonymous boolean NOT NULL DEFAULT false);
CREATE UNIQUE INDEX users_email_partial_key ON auth.users (email) WHERE is_sso_user = false;
CREATE TABLE auth.identities (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), provider_id text NOT NULL, user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE, identity_data jsonb NOT NULL, provider text NOT NULL,
    email text GENERATED ALWAYS AS (lower(identity_data ->> 'email')) STORED, UNIQUE (provider_id, provider));
CREATE TABLE auth.sso_providers (id uuid PRIMARY KEY, resource_id text);
CREATE TABLE auth.sso_domains (id uuid PRIMARY KEY, sso_provider_id uuid NOT NULL REFERENCES auth.sso_providers (id), domain text NOT NULL);
CREATE TABLE auth.saml_providers (
    id uuid PRIMARY KEY, sso_provider_id uuid NOT NULL REFERENCES auth.sso_providers (id), entity_id text NOT NULL UNIQUE, metadata_xml text NOT NULL, attribute_mapping jsonb);
ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.identities ENABLE ROW LEVEL SECURITY;
INSERT INTO auth.users (id, role, email, encrypted_password, email_confirmed_at, is_sso_user, is_anonymous, raw_user_meta_data) VALUES
    ('00000000-0000-0000-0000-000000000001', 'authenticated', 'canary1@corp.example', '$2a$10$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e', now(), false, false, '{"name": "Canary One"}'),
    ('00000000-0000-0000-0000-000000000002', 'authenticated', 'canary1@corp.example', NULL, now(), true, false, '{}'),
    ('00000000-0000-0000-0000-000000000003', 'authenticated', 'canary3@corp.example', '$fbscrypt$v=1,n=14,r=8,p=1,ss=canary,sk=canary$canary$canary', NULL, false, false, '{}'),
    ('00000000-0000-0000-0000-000000000004', 'authenticated', NULL, NULL, NULL, false, true, '{}');
INSERT INTO auth.identities (provider_id, user_id, identity_data, provider) VALUES ('1', '00000000-0000-0000-0000-000000000001', '{"email": "Canary1@corp.example"}', 'email');
