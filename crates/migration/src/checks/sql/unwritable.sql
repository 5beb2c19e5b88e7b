-- Tables and sequences that the role of this session may not write as changes that come back
-- need it: rows of every kind and TRUNCATE, and setval.
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_class AS c
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'trunkline')
  AND c.relpersistence <> 't'
  AND NOT EXISTS (SELECT
                  FROM pg_catalog.pg_depend AS e
                  WHERE e.classid = 'pg_catalog.pg_class'::regclass
                    AND e.objid = c.oid AND e.deptype = 'e')
  AND CASE c.relkind
          WHEN 'r' THEN NOT (has_schema_privilege(c.relnamespace, 'USAGE')
                             AND has_table_privilege(c.oid, 'SELECT')
                             AND has_table_privilege(c.oid, 'INSERT')
                             AND has_table_privilege(c.oid, 'UPDATE')
                             AND has_table_privilege(c.oid, 'DELETE')
                             AND has_table_privilege(c.oid, 'TRUNCATE'))
          WHEN 'S' THEN NOT (has_schema_privilege(c.relnamespace, 'USAGE')
                             AND has_sequence_privilege(c.oid, 'SELECT')
                             AND has_sequence_privilege(c.oid, 'UPDATE'))
          ELSE false
      END
ORDER BY n.nspname, c.relname
