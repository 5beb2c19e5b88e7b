-- Of the pg_dump of this name, while it waits for a lock: its process, whether somebody waits for a
-- table that it has, and whether it waits for one of these itself. What others wait for only
-- pg_locks shows to every role, and to read it stops the server's locking for a moment: not before
-- pg_dump waits.
SELECT d.pid, count(w.pid) > 0, coalesce(bool_or(w.pid = ANY (d.blockers)), false)
  FROM (SELECT a.pid, pg_blocking_pids(a.pid) AS blockers
          FROM pg_stat_activity a
         WHERE a.application_name = $1::text
           AND a.datname = current_database()
           AND a.wait_event_type = 'Lock'
         LIMIT 1) d
  LEFT JOIN LATERAL (
        SELECT wanted.pid
          FROM pg_locks wanted
          JOIN pg_locks mine
            ON mine.pid = d.pid AND mine.granted AND mine.locktype = 'relation'
           AND (mine.database, mine.relation) = (wanted.database, wanted.relation)
         WHERE NOT wanted.granted
           AND wanted.locktype = 'relation'
           AND wanted.pid <> d.pid
           AND d.pid = ANY (pg_blocking_pids(wanted.pid))
       ) w ON true
 GROUP BY d.pid
