SELECT 'constraint', ARRAY[n.nspname, t.typname, c.conname]::text[], NULL,
       'type', ARRAY[n.nspname, t.typname]::text[],
       regexp_replace(pg_get_constraintdef(c.oid), ' NOT VALID$', ''),
       CASE WHEN c.convalidated THEN 'yes' ELSE 'no' END
  FROM pg_catalog.pg_constraint c
  JOIN pg_catalog.pg_type t ON t.oid = c.contypid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
 WHERE c.contype = 'c'
   AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'trunkline')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
                      AND d.objid = t.oid AND d.deptype = 'e')
