-- The rules of the table $1.$2 that answer in the replica role.
SELECT r.rulename::text
  FROM pg_catalog.pg_rewrite r
  JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1::name
   AND c.relname = $2::name
   AND r.ev_type IN ('2', '3', '4')
   AND r.ev_enabled IN ('A', 'R')
 ORDER BY 1
