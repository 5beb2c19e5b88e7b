-- The tables that $1 names (as SQL, quoted), with their columns.
SELECT wanted.relation,
       n.nspname,
       c.relname,
       ARRAY(SELECT a.attname::text
             FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum)
FROM unnest($1::text[]) AS wanted(relation)
JOIN pg_catalog.pg_class AS c ON c.oid = wanted.relation::pg_catalog.regclass
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
