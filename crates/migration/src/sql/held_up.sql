-- Whom process $1 waits for, in words.
SELECT pg_catalog.format('process %s (%s, %s since %s)', b.pid,
                         coalesce(nullif(b.usename::text, ''), b.backend_type),
                         coalesce(nullif(b.state, ''), 'busy'),
                         pg_catalog.date_trunc('second', coalesce(b.xact_start, b.query_start)))
  FROM pg_catalog.pg_stat_activity b
 WHERE b.pid = ANY (pg_catalog.pg_blocking_pids($1))
 UNION ALL
SELECT 'a synchronous standby that does not answer'
  FROM pg_catalog.pg_stat_activity w
 WHERE w.pid = $1
   AND w.wait_event = 'SyncRep'
