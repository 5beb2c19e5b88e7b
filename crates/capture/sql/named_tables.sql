-- Names of tables ($1: schemas, $2: names) as the server quotes them, and the OIDs that tables
-- of these names have now.
SELECT w.nspname,
       w.relname,
       pg_catalog.quote_ident(w.nspname) || '.' || pg_catalog.quote_ident(w.relname),
       c.oid
  FROM unnest($1::text[], $2::text[]) AS w (nspname, relname)
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.nspname
  LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.relname
