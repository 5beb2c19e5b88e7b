-- Sessions of superusers in this database; a role without superuser rights cannot end them.
SELECT count(*), coalesce(array_agg(DISTINCT a.usename::text), '{}')
FROM pg_catalog.pg_stat_activity AS a
     JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND r.rolsuper
