-- The transactions that a slot's creation waits for, in any database: those that have
-- written, and those that are prepared. Times are hidden from roles without
-- pg_read_all_stats. The text of queries is left out: it may hold values.
SELECT activity.pid,
       NULL::text AS gid,
       activity.usename::text,
       activity.datname::text,
       activity.xact_start::text,
       extract(epoch FROM pg_catalog.clock_timestamp() - activity.xact_start)::float8 AS age,
       extract(epoch FROM pg_catalog.clock_timestamp() - activity.query_start)::float8 AS query_age,
       activity.state
  FROM pg_catalog.pg_stat_activity AS activity
 WHERE activity.backend_xid IS NOT NULL
   AND activity.pid <> pg_catalog.pg_backend_pid()
UNION ALL
SELECT NULL,
       prepared.gid,
       prepared.owner::text,
       prepared.database::text,
       prepared.prepared::text,
       extract(epoch FROM pg_catalog.clock_timestamp() - prepared.prepared)::float8,
       NULL,
       'prepared'
  FROM pg_catalog.pg_prepared_xacts AS prepared
 ORDER BY age DESC NULLS LAST
 LIMIT $1::bigint
