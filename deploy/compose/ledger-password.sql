-- The role's password comes from the container's secret.
\set password `cat /run/secrets/ledger_password`
ALTER ROLE backstitch PASSWORD :'password';
