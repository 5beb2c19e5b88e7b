-- The tables of subscription $1 whose rows are copied, whose changes since are not applied, and
-- that no process works on: schema, name, and how the name of the slot with these changes begins.
SELECT n.nspname::text, c.relname::text,
       pg_catalog.format('pg_%s_sync_%s_', r.srsubid, r.srrelid)
  FROM pg_catalog.pg_subscription s
  JOIN pg_catalog.pg_subscription_rel r ON r.srsubid = s.oid
  JOIN pg_catalog.pg_class c ON c.oid = r.srrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE s.subname = $1
   AND s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d
                     WHERE d.datname = pg_catalog.current_database())
   AND r.srsubstate = 'f'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_subscription w
                    WHERE w.subid = s.oid AND w.relid = r.srrelid AND w.pid IS NOT NULL)
 ORDER BY 1, 2
