-- Who holds the migration's lock, in words. A bigint key shows in pg_locks as its two halves,
-- with objsubid 1.
SELECT l.pid,
       pg_catalog.format('process %s%s, since %s', l.pid,
                         ' of ' || pg_catalog.host(a.client_addr),
                         pg_catalog.date_trunc('second', a.backend_start))
  FROM pg_catalog.pg_locks l
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid,
       (SELECT pg_catalog.hashtextextended('trunkline ' || $1, 0) AS key) k
 WHERE l.locktype = 'advisory'
   AND l.granted
   AND l.objsubid = 1
   AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
   AND l.classid::bigint = ((k.key >> 32) & 4294967295)
   AND l.objid::bigint = (k.key & 4294967295)
