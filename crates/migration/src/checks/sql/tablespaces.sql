-- The tablespaces, the default ones apart, that tables and indexes in the schemas $1 lie in.
SELECT DISTINCT t.spcname::text
FROM pg_catalog.pg_class AS c
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     JOIN pg_catalog.pg_tablespace AS t ON t.oid = c.reltablespace
WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'i', 'I', 'm')
ORDER BY 1
