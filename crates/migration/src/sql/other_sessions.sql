-- Every process in this database that could write, but for ours ($1) and for the server's
-- own: autovacuum has no role, walsenders only read. A process whose kind we may not see
-- counts as one that could write.
SELECT a.pid,
       coalesce(a.usename, 'no role'),
       coalesce(nullif(a.application_name, ''), a.backend_type, 'unknown')
  FROM pg_catalog.pg_stat_activity a
 WHERE a.datname = pg_catalog.current_database()
   AND a.pid <> pg_catalog.pg_backend_pid()
   AND a.pid <> ALL ($1::integer[])
   AND coalesce(a.backend_type, '') NOT IN ('autovacuum worker', 'walsender')
   AND NOT (a.usesysid IS NULL AND a.backend_type IS NULL)
 ORDER BY a.pid
