-- Every sequence, with the table that it belongs to, if any (serial and identity columns): looked
-- up, because a server that has no statistics of its catalog yet joins all with all.
SELECT n.nspname::text,
       c.relname::text,
       tn.nspname::text,
       t.relname::text,
       has_schema_privilege(c.relnamespace, 'USAGE') AND has_sequence_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class AS c
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     LEFT JOIN LATERAL (
           SELECT o.refobjid
           FROM pg_catalog.pg_depend AS o
           WHERE o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = c.oid AND o.objsubid = 0
             AND o.refclassid = 'pg_catalog.pg_class'::regclass AND o.refobjsubid > 0
             AND o.deptype IN ('a', 'i')
           LIMIT 1) AS d ON true
     LEFT JOIN pg_catalog.pg_class AS t ON t.oid = d.refobjid
     LEFT JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
WHERE c.relkind = 'S'
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'trunkline')
  AND NOT EXISTS (SELECT
                  FROM pg_catalog.pg_depend AS e
                  WHERE e.classid = 'pg_catalog.pg_class'::regclass
                    AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY n.nspname, c.relname
