-- Whom the processes $1 wait for, in words. A prepared transaction has no process: 0 stands for it.
WITH blocking AS (
    SELECT DISTINCT b.pid
      FROM pg_catalog.unnest($1::int[]) AS w, pg_catalog.unnest(pg_catalog.pg_blocking_pids(w)) AS b(pid)
)
SELECT pg_catalog.format('process %s (%s, %s%s)', b.pid,
                         coalesce(nullif(b.usename::text, ''), b.backend_type),
                         coalesce(nullif(b.state, ''), 'busy'),
                         ' since ' || pg_catalog.date_trunc('second',
                                          coalesce(b.xact_start, b.query_start))::text)
  FROM pg_catalog.pg_stat_activity b
 WHERE b.pid <> ALL ($1::int[])
   AND b.pid IN (SELECT pid FROM blocking)
 UNION ALL
SELECT 'a prepared transaction, one of ' || pg_catalog.string_agg(
           pg_catalog.format('%L (%s, since %s)', p.gid, p.owner,
                             pg_catalog.date_trunc('second', p.prepared)), ', ' ORDER BY p.prepared)
  FROM (SELECT x.gid, x.owner, x.prepared
          FROM pg_catalog.pg_prepared_xacts x
         ORDER BY x.database <> pg_catalog.current_database(), x.prepared
         LIMIT 3) p
 WHERE EXISTS (SELECT FROM blocking WHERE pid = 0)
HAVING count(*) > 0
 UNION ALL
SELECT 'a synchronous standby that does not answer'
 WHERE EXISTS (SELECT FROM pg_catalog.pg_stat_activity w
                WHERE w.pid = ANY ($1::int[]) AND w.wait_event = 'SyncRep'
                  AND w.query_start < pg_catalog.clock_timestamp() - interval '3 seconds')
