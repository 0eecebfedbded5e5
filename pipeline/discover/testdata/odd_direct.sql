-- Users that name their tenant themselves: partitioned by it, with a state, a composite key and
-- a reference over two columns; large values; e-mails of a domain's type.
CREATE DOMAIN email_address AS varchar(320);
CREATE TABLE tenants (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, company_name text NOT NULL, subdomain text NOT NULL, settings jsonb);
CREATE TABLE users (
    tenant_id bigint NOT NULL REFERENCES tenants (id), id bigint NOT NULL, email email_address NOT NULL, full_name text, password_digest text, confirmed_at timestamptz,
    role text, status text NOT NULL, bio text, PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, email)) PARTITION BY HASH (tenant_id);
CREATE TABLE users_0 PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE users_1 PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE sessions (id uuid PRIMARY KEY, tenant_id bigint NOT NULL, user_id bigint NOT NULL, FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id));
INSERT INTO tenants (company_name, subdomain, settings) VALUES ('Canary Works', 'canary', (SELECT jsonb_object_agg(i, md5(i::text)) FROM generate_series(1, 500) i)), ('Canary Two', 'canary', '{}');
INSERT INTO users (tenant_id, id, email, full_name, password_digest, confirmed_at, role, status) VALUES
    (1, 1, 'canary1@corp.example', 'Canary One', '$2a$12$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e', now(), 'admin', 'active'),
    (1, 2, 'canary2@corp.example', 'Canary Two', NULL, now(), 'user', 'left'), (2, 1, 'canary1@corp.example', 'Canary One', NULL, NULL, NULL, 'active');
