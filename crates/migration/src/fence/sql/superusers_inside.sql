-- Superusers' sessions in this database that are not Trunkline's.
SELECT a.pid,
       a.usename,
       coalesce(nullif(a.application_name, ''), a.backend_type, 'unknown')
  FROM pg_catalog.pg_stat_activity a
  JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid AND r.rolsuper
 WHERE a.datname = pg_catalog.current_database()
   AND coalesce(a.application_name, '') NOT LIKE 'trunkline %'
 ORDER BY a.pid
