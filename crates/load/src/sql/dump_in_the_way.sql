-- The process of the pg_dump of this name, if it waits for a lock while somebody waits for it.
-- What others wait for only pg_locks shows to every role.
SELECT d.pid
  FROM pg_stat_activity d
 WHERE d.application_name = $1::text
   AND d.datname = current_database()
   AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = d.pid AND NOT l.granted)
   AND EXISTS (SELECT FROM pg_locks w
                WHERE NOT w.granted AND w.pid <> d.pid AND d.pid = ANY (pg_blocking_pids(w.pid)))
