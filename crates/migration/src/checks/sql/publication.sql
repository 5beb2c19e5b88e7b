-- Whether the publication $1 exists and publishes every table, and the tables that it lists.
SELECT p.puballtables,
       coalesce((SELECT array_agg(t.schemaname::text ORDER BY t.schemaname, t.tablename)
                 FROM pg_catalog.pg_publication_tables AS t WHERE t.pubname = p.pubname), '{}'),
       coalesce((SELECT array_agg(t.tablename::text ORDER BY t.schemaname, t.tablename)
                 FROM pg_catalog.pg_publication_tables AS t WHERE t.pubname = p.pubname), '{}')
FROM pg_catalog.pg_publication AS p
WHERE p.pubname = $1::text
