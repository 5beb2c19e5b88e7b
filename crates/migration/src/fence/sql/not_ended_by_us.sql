-- Roles, not superusers, whose sessions in this database our role may not end: it has neither
-- pg_signal_backend nor their rights.
SELECT DISTINCT r.rolname::text
  FROM pg_catalog.pg_stat_activity a
  JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
 WHERE a.datname = pg_catalog.current_database()
   AND NOT r.rolsuper
   AND NOT pg_catalog.pg_has_role(r.oid, 'USAGE')
   AND NOT pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')
 ORDER BY 1
