-- The tables of subscription $1: schema, name, state, and whether a process brings its rows.
SELECT n.nspname::text, c.relname::text, r.srsubstate::text,
       EXISTS (SELECT FROM pg_catalog.pg_stat_subscription w
                WHERE w.subid = s.oid AND w.relid = r.srrelid AND w.pid IS NOT NULL)
  FROM pg_catalog.pg_subscription s
  JOIN pg_catalog.pg_subscription_rel r ON r.srsubid = s.oid
  JOIN pg_catalog.pg_class c ON c.oid = r.srrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE s.subname = $1
   AND s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d
                     WHERE d.datname = pg_catalog.current_database())
 ORDER BY 1, 2
