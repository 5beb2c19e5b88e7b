-- Every table that could move: the partitioned table that it belongs to, whether it is unlogged,
-- what would make it another one, and two things that both change where an ALTER TABLE rewrites
-- its values: its file, which TRUNCATE changes too, and its columns' entries, which a new default
-- changes too. What is computed where it is read is never rewritten.
SELECT c.oid, n.nspname::text, c.relname::text, pn.nspname::text, p.relname::text,
       c.relpersistence = 'u',
       concat_ws(' ', c.relkind, c.relpersistence, i.inhparent, a.columns),
       c.relfilenode, coalesce(a.entries, 0)::text
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_inherits i ON c.relispartition AND i.inhrelid = c.oid
  LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
  LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
  LEFT JOIN (SELECT a.attrelid,
                    sum(pg_catalog.hashtextextended(
                        concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod,
                                  CASE WHEN a.attgenerated <> '' THEN a.xmin END), 0)) AS columns,
                    sum(pg_catalog.hashtextextended(concat_ws(' ', a.attnum, a.xmin), 0)) AS entries
               FROM pg_catalog.pg_attribute a
               JOIN pg_catalog.pg_class t ON t.oid = a.attrelid AND t.relkind IN ('r', 'p')
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
