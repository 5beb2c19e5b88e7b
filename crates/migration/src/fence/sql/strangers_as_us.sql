-- Sessions of the session's own role in this database that are not Trunkline's.
SELECT a.pid,
       a.usename,
       coalesce(nullif(a.application_name, ''), a.backend_type, 'no name')
  FROM pg_catalog.pg_stat_activity a
 WHERE a.datname = pg_catalog.current_database()
   AND a.usename = session_user
   AND coalesce(a.application_name, '') NOT LIKE 'trunkline %'
 ORDER BY a.pid
