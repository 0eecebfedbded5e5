-- The role's password comes from the container's secret.
\set password `cat /run/secrets/source_password`
ALTER ROLE backstitch PASSWORD :'password';
