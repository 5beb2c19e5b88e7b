-- Who waits for tables that the processes $1 have: the five that wait the longest, first what is
-- the same whenever he comes again, then the whole in words. What others wait for only pg_locks
-- shows to every role, and to read it stops the server's locking for a moment: not before it may
-- be that somebody waits. Since when is known from 14 on.
SELECT pg_catalog.format('%s %s %s', a.usename, l.mode, l.relation),
       pg_catalog.format('process %s (%s) wants %s on %s%s', l.pid,
                         coalesce(nullif(a.usename::text, ''), a.backend_type, 'unknown'),
                         l.mode, l.relation::pg_catalog.regclass, ' since ' || since.since)
  FROM pg_catalog.pg_locks l
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 CROSS JOIN LATERAL (
        SELECT pg_catalog.date_trunc('second',
                   (pg_catalog.to_jsonb(l) ->> 'waitstart')::timestamptz)::text) AS since (since)
 WHERE NOT l.granted
   AND l.locktype = 'relation'
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                      WHERE d.datname = pg_catalog.current_database())
   AND l.pid <> ALL ($1::int[])
   AND pg_catalog.pg_blocking_pids(l.pid) && $1::int[]
   AND EXISTS (
        SELECT FROM pg_catalog.pg_stat_activity w
         WHERE w.datname = pg_catalog.current_database()
           AND w.pid <> ALL ($1::int[])
           AND (w.wait_event_type = 'Lock' OR w.query = '<insufficient privilege>'))
 ORDER BY since.since NULLS LAST, l.pid
 LIMIT 5
