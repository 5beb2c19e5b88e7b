-- Those of the extensions $1 whose files this server does not have.
SELECT wanted.name
  FROM unnest($1::text[]) AS wanted(name)
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_available_extensions a WHERE a.name = wanted.name)
 ORDER BY 1
