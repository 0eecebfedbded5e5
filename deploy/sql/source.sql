-- What Backstitch needs on the legacy server, and nothing else.
--
-- Replace: backstitch (the role), legacy (the database), the three tables (those of
-- source.tables) and backstitch_acme (source.publication; default backstitch_<prefix>).
-- Run it once, connected to the legacy database, as a superuser:
--   psql "$ADMIN_URL" -v ON_ERROR_STOP=1 -f source.sql
-- The password is set apart, so that it stands in no file, log or history:
--   \password backstitch
-- Configuration: source.create_publication: false.

-- REPLICATION: the slot and the stream. It would allow physical replication too, which
-- copies the whole server; a line in pg_hba.conf, before all others, takes that away
-- (logical replication does not match the word replication there):
--   host  replication  backstitch  all  reject
-- Managed servers grant a role instead, such as on RDS: GRANT rds_replication TO backstitch
CREATE ROLE backstitch LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE;

-- TEMPORARY: which columns a mapping reads is learned from a temporary view over it,
-- in a transaction that is rolled back.
GRANT CONNECT, TEMPORARY ON DATABASE legacy TO backstitch;
GRANT USAGE ON SCHEMA public TO backstitch;

-- Whole tables: backfills read them, and lock them ACCESS SHARE meanwhile.
GRANT SELECT ON TABLE public.teams, public.users, public.team_members TO backstitch;

-- How long other sessions' transactions are open already: a slot's creation waits for
-- them, and a backfill would pause the stream in vain.
GRANT pg_read_all_stats TO backstitch;

-- Only where a captured table has row-level security, which would hide rows:
--   ALTER ROLE backstitch BYPASSRLS;

-- Creating it, and adding tables later, takes the tables' owner; Backstitch is not.
-- A table that is added later:
--   GRANT SELECT ON TABLE public.invitations TO backstitch;
--   ALTER PUBLICATION backstitch_acme ADD TABLE public.invitations;
CREATE PUBLICATION backstitch_acme FOR TABLE public.teams, public.users, public.team_members
    WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true);
