-- Transactions that the making of a slot waits for: those of every database that have a
-- transaction id. Without pg_read_all_stats the age of other roles' ones is NULL.
SELECT a.pid,
       coalesce(a.usename::text, ''),
       coalesce(a.datname::text, ''),
       coalesce(a.state, ''),
       extract(epoch FROM clock_timestamp() - a.xact_start)::bigint
FROM pg_catalog.pg_stat_activity AS a
WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_backend_pid()
ORDER BY a.xact_start NULLS LAST, a.pid
