-- The ledger: a database of Backstitch's own, on another server than the legacy one.
--
-- Replace: backstitch (the role), ledger (the database). Encoding and locale must be
-- those of the legacy database, because the mapping runs in both:
--   SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database WHERE datname = 'legacy';
-- Run it once, as a superuser:   psql "$ADMIN_URL" -v ON_ERROR_STOP=1 -f ledger.sql
-- and set the password apart:    \password backstitch

CREATE ROLE backstitch LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;

-- An administrator that is no superuser gives ownership only to a role that it is in:
--   GRANT backstitch TO CURRENT_USER;
-- The role owns the database, for it makes schemas there: its own, and those of the captured
-- tables, with the extensions that their columns need. It owns nothing else.
CREATE DATABASE ledger OWNER backstitch TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8';

-- The mirror holds the captured columns: personal data and hashes, for nobody else.
REVOKE ALL ON DATABASE ledger FROM PUBLIC;
