-- The extensions of this database.
SELECT e.extname::text, e.extversion, n.nspname::text
FROM pg_catalog.pg_extension AS e
     JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
ORDER BY e.extname
