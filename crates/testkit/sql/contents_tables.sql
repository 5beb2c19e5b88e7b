-- Tables with rows of their own, and a ROW expression of their columns in order of name.
-- $1: schemas, or an empty array for all that are the user's.
SELECT format('%I.%I', n.nspname, c.relname),
       'ROW(' || coalesce(
           (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname COLLATE "C")
            FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '') || ')'
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND CASE WHEN cardinality($1::text[]) > 0 THEN n.nspname = ANY ($1::text[])
           ELSE n.nspname <> ALL ('{pg_catalog,information_schema,pg_toast,trunkline}') END
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                    AND d.deptype = 'e')
ORDER BY 1
