-- Every index that pg_dump may write of, with the constraint that it carries.
SELECT i.indexrelid,
       i.indrelid,
       con.oid,
       n.nspname::text,
       c.relname::text,
       i.indisprimary,
       CASE WHEN c.relkind = 'i' THEN coalesce(pg_relation_size(c.oid), 0) ELSE 0 END,
       coalesce(am.amname::text, '')
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_am am ON am.oid = c.relam
  LEFT JOIN pg_constraint con
         ON con.conindid = i.indexrelid AND con.conrelid = i.indrelid AND con.contype IN ('p', 'u', 'x')
 WHERE n.nspname !~ '^pg_'
   AND n.nspname NOT IN ('information_schema', 'trunkline')
