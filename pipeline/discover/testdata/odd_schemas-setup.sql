-- What Backstitch needs in database "legacy", and nothing else. Written by `backstitch init`:
-- read it, then run it once, connected to that database, as a superuser:
--   psql "$ADMIN_DATABASE_URL" -v ON_ERROR_STOP=1 -f setup.sql
-- The password is set apart, so that it stands in no file, log or history:
--   \password backstitch

-- REPLICATION: the slot and the stream. Managed servers grant a role instead, such as
-- on RDS: GRANT rds_replication TO "backstitch"
-- REPLICATION would allow a copy of the whole server too; a line in pg_hba.conf, before all
-- others, takes that away (logical replication does not match the word replication there):
--   host  replication  "backstitch"  all  reject
CREATE ROLE "backstitch" LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE;

-- TEMPORARY: which columns a mapping reads is learned from a temporary view over it,
-- in a transaction that is rolled back.
GRANT CONNECT, TEMPORARY ON DATABASE "legacy" TO "backstitch";

-- How long other sessions' transactions are open already: a new slot waits for them.
GRANT pg_read_all_stats TO "backstitch";

-- Whole tables: backfills read them, and lock them ACCESS SHARE meanwhile.
GRANT USAGE ON SCHEMA "crm" TO "backstitch";
GRANT SELECT ON TABLE "crm"."tenants", "crm"."users", "crm"."tenant_users" TO "backstitch";

-- A table that is added later: GRANT SELECT ON it, and ALTER PUBLICATION … ADD TABLE.
CREATE PUBLICATION "backstitch_acme" FOR TABLE "crm"."tenants", "crm"."users", "crm"."tenant_users"
    WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true);
