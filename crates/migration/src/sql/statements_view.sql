-- Where pg_stat_statements stands in this database, and what the columns of time are called:
-- total_time up to its version 1.7, total_exec_time from 1.8 (PostgreSQL 13) on.
SELECT format('%I.pg_stat_statements', n.nspname),
       EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
               WHERE a.attrelid = c.oid AND a.attname = 'total_exec_time' AND NOT a.attisdropped)
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'pg_stat_statements'
WHERE e.extname = 'pg_stat_statements'
