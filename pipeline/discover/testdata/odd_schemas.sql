-- Candidates in two schemas, tenants without a name, memberships in partitions, a
-- materialized view, a key that an application made unique together with its tenant.
CREATE SCHEMA crm;
CREATE TABLE accounts (id int PRIMARY KEY, name text, slug text);
CREATE TABLE contacts (id int PRIMARY KEY, email text, account_id int);
CREATE TABLE crm.tenants (id uuid PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE crm.users (id bigint PRIMARY KEY, email varchar(320) UNIQUE, email_verified boolean NOT NULL, password_hash text);
CREATE TABLE crm.tenant_users (
    tenant_id uuid NOT NULL REFERENCES crm.tenants, user_id bigint NOT NULL REFERENCES crm.users, role text NOT NULL,
    PRIMARY KEY (tenant_id, user_id)) PARTITION BY HASH (user_id);
CREATE TABLE crm.tenant_users_0 PARTITION OF crm.tenant_users FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE crm.tenant_users_1 PARTITION OF crm.tenant_users FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE crm.notes (tenant_id uuid, user_id bigint, n int, body text, PRIMARY KEY (tenant_id, user_id, n),
    FOREIGN KEY (tenant_id, user_id) REFERENCES crm.tenant_users);
CREATE MATERIALIZED VIEW crm.active_users AS SELECT id, email FROM crm.users;
INSERT INTO accounts SELECT g, 'Canary ' || g, 'canary-' || g FROM generate_series(1, 3) g;
INSERT INTO contacts SELECT g, 'canary' || g || '@example.com', 1 FROM generate_series(1, 3) g;
INSERT INTO crm.tenants SELECT ('00000000-0000-4000-8000-00000000000' || g)::uuid FROM generate_series(1, 3) g;
INSERT INTO crm.users SELECT g, 'canary' || g || '@corp.example', g <> 2, NULL FROM generate_series(1, 4) g;
INSERT INTO crm.tenant_users SELECT ('00000000-0000-4000-8000-00000000000' || (1 + g % 3))::uuid, g, CASE g WHEN 1 THEN 'owner' ELSE 'member' END FROM generate_series(1, 4) g;
