-- Every table that could move, the partitioned table that it belongs to, and what would make it
-- another one, or its rows: a column's entry is written anew where its type is set, be it the same
-- one with other values, and not where a table is emptied or rewritten as it is.
SELECT c.oid, n.nspname::text, c.relname::text, pn.nspname::text, p.relname::text,
       c.relpersistence = 'u',
       concat_ws(' ', c.relkind, c.relpersistence, c.relispartition, a.digest)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_inherits i ON c.relispartition AND i.inhrelid = c.oid
  LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
  LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
  LEFT JOIN (SELECT a.attrelid,
                    sum(pg_catalog.hashtextextended(
                        concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.xmin), 0)) AS digest
               FROM pg_catalog.pg_attribute a
              WHERE a.attnum > 0 AND NOT a.attisdropped
              GROUP BY a.attrelid) a ON a.attrelid = c.oid
 WHERE c.relkind IN ('r', 'p')
   AND c.relpersistence <> 't'
   AND n.nspname !~ '^pg_'
   AND n.nspname NOT IN ('information_schema', 'trunkline')
   AND NOT EXISTS (SELECT
                     FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                      AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e')
