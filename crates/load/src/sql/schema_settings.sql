-- Owner, grants and comment of every schema but the system's and ours.
SELECT n.nspname::text,
       pg_catalog.pg_get_userbyid(n.nspowner)::text,
       n.nspacl::text,
       pg_catalog.obj_description(n.oid, 'pg_namespace')
  FROM pg_catalog.pg_namespace n
 WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'trunkline')
 ORDER BY n.nspname
