-- The mapped tables that exist: $1 schemas, $2 names.
-- fires: a trigger or rule of the table, or of a partition below it, that fires when
-- session_replication_role is replica.
SELECT c.oid,
       n.nspname,
       c.relname,
       c.relkind,
       EXISTS (
           SELECT
           FROM (SELECT c.oid AS relid
                 UNION
                 SELECT p.relid::oid FROM pg_catalog.pg_partition_tree(c.oid) AS p) AS part
           WHERE EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                         WHERE t.tgrelid = part.relid AND t.tgenabled IN ('A', 'R'))
              OR EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r
                         WHERE r.ev_class = part.relid AND r.ev_enabled IN ('A', 'R'))
       ) AS fires
FROM unnest($1::text[], $2::text[]) AS wanted(schema, name)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = wanted.schema
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.name
WHERE c.relkind IN ('r', 'p', 'f')
