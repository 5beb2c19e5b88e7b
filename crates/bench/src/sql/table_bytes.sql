-- What the tables of a database take on disk, in bytes: with their TOAST, without indexes.
SELECT coalesce(sum(pg_table_size(c.oid)), 0)::float8
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
