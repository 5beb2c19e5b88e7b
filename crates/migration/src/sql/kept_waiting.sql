-- Who waits for tables that the processes $1 have: the five that wait the longest, each first as
-- what is the same whenever he comes again, then in words. What others wait for only pg_locks shows
-- to every role, and to read it stops the server's locking for a moment: not before it may be that
-- somebody waits, which a role that may not see what others do cannot know. Since when is known
-- from 14 on.
WITH lock AS MATERIALIZED (
    SELECT k.pid, k.mode, k.relation, k.granted,
           CASE WHEN NOT k.granted THEN pg_catalog.date_trunc('second',
               (pg_catalog.to_jsonb(k) ->> 'waitstart')::timestamptz)::text END AS since
      FROM pg_catalog.pg_locks k
     WHERE k.locktype = 'relation'
       AND k.database = (SELECT d.oid FROM pg_catalog.pg_database d
                          WHERE d.datname = pg_catalog.current_database())
       AND (NOT k.granted OR k.pid = ANY ($1::int[]))
       AND EXISTS (
            SELECT FROM pg_catalog.pg_stat_activity w
             WHERE w.datname = pg_catalog.current_database()
               AND w.pid <> ALL ($1::int[])
               AND (w.wait_event_type = 'Lock' OR w.query = '<insufficient privilege>'))
), waiting AS (
    SELECT DISTINCT ON (a.usename, l.mode, l.relation)
           pg_catalog.format('%s %s %s', a.usename, l.mode, l.relation) AS who,
           pg_catalog.format('process %s (%s) wants %s on %s%s', l.pid,
                             coalesce(nullif(a.usename::text, ''), a.backend_type, 'unknown'),
                             l.mode, l.relation::pg_catalog.regclass, ' since ' || l.since) AS wants,
           l.since, l.pid
      FROM lock l
      LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
     WHERE NOT l.granted
       AND l.pid <> ALL ($1::int[])
       -- Not where he is behind one of us who waits himself.
       AND l.relation IN (SELECT h.relation FROM lock h WHERE h.granted)
       AND pg_catalog.pg_blocking_pids(l.pid) && $1::int[]
     ORDER BY a.usename, l.mode, l.relation, l.since NULLS LAST, l.pid
)
SELECT who, wants FROM waiting ORDER BY since NULLS LAST, pid LIMIT 5
