-- Whether columns in the schemas $1 carry options that the server itself stamped (pg_…), which
-- some minor releases write and others refuse.
SELECT EXISTS (SELECT
               FROM pg_catalog.pg_attribute AS a
                    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
                    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace,
                    unnest(a.attoptions) AS o(option)
               WHERE n.nspname = ANY ($1::text[]) AND o.option LIKE 'pg\_%')
