-- What stands in the target already: relations of users, with whether our role could drop them
-- and, for a table, whether it could write it.
SELECT n.nspname::text,
       c.relname::text,
       c.relkind,
       pg_has_role(c.relowner, 'USAGE'),
       has_schema_privilege(c.relnamespace, 'USAGE')
         AND CASE WHEN c.relkind IN ('r', 'p')
                  THEN has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                       AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')
                       AND has_table_privilege(c.oid, 'TRUNCATE')
                  ELSE true END,
       owner.rolname::text
FROM pg_catalog.pg_class AS c
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     JOIN pg_catalog.pg_roles AS owner ON owner.oid = c.relowner
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'trunkline')
  AND NOT EXISTS (SELECT
                  FROM pg_catalog.pg_depend AS e
                  WHERE e.classid = 'pg_catalog.pg_class'::regclass
                    AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY n.nspname, c.relname
