-- Which of the types $1 are not PostgreSQL's own here.
SELECT w.name
FROM unnest($1::text[]) AS w(name)
WHERE NOT EXISTS (SELECT
                  FROM pg_catalog.pg_type AS t
                  WHERE t.typname::text = w.name AND t.typnamespace = 'pg_catalog'::regnamespace)
ORDER BY 1
