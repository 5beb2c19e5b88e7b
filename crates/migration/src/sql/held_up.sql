-- Whom the processes $1 wait for, in words.
SELECT pg_catalog.format('process %s (%s, %s%s)', b.pid,
                         coalesce(nullif(b.usename::text, ''), b.backend_type),
                         coalesce(nullif(b.state, ''), 'busy'),
                         ' since ' || pg_catalog.date_trunc('second',
                                          coalesce(b.xact_start, b.query_start))::text)
  FROM pg_catalog.pg_stat_activity b
 WHERE b.pid <> ALL ($1::int[])
   AND b.pid IN (SELECT pg_catalog.unnest(pg_catalog.pg_blocking_pids(w))
                   FROM pg_catalog.unnest($1::int[]) AS w)
 UNION ALL
SELECT 'a synchronous standby that does not answer'
 WHERE EXISTS (SELECT FROM pg_catalog.pg_stat_activity w
                WHERE w.pid = ANY ($1::int[]) AND w.wait_event = 'SyncRep'
                  AND w.query_start < pg_catalog.clock_timestamp() - interval '3 seconds')
