-- Every table of users, with what would make it another one.
SELECT c.oid, n.nspname::text, c.relname::text,
       concat_ws(' ', c.relkind, c.relpersistence, c.relnatts)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p')
   AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'trunkline')
   AND n.nspname !~ '^pg_(toast|temp)'
