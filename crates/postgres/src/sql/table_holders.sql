-- Who has locks of these modes on tables of this database, in words.
SELECT pg_catalog.format('process %s (%s, %s since %s)', a.pid,
                         coalesce(nullif(a.usename::text, ''), a.backend_type),
                         coalesce(nullif(a.state, ''), 'busy'),
                         pg_catalog.date_trunc('second', coalesce(a.xact_start, a.query_start)))
  FROM pg_catalog.pg_stat_activity a
 WHERE a.pid <> pg_catalog.pg_backend_pid()
   AND EXISTS (SELECT FROM pg_catalog.pg_locks l
                WHERE l.pid = a.pid
                  AND l.locktype = 'relation'
                  AND l.granted
                  AND l.relation >= 16384
                  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                                     WHERE d.datname = pg_catalog.current_database())
                  AND l.mode = ANY ($1::text[]))
 ORDER BY a.xact_start NULLS LAST
 LIMIT 5
