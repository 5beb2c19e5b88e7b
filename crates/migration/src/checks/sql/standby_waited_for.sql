-- Whom commits on the source wait for, beside the standby that streams from slot $1 ('' where it
-- has none): how many such servers are connected, whether that standby is one of them, and
-- whether our role may see it.
SELECT pg_catalog.current_setting('synchronous_standby_names'),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication r
         WHERE r.sync_state <> 'async' AND NOT r.pid = ANY (s.pids)),
       EXISTS (SELECT FROM pg_catalog.pg_stat_replication r
                WHERE r.sync_state <> 'async' AND r.pid = ANY (s.pids)),
       EXISTS (SELECT FROM pg_catalog.pg_stat_replication r
                WHERE r.sync_state IS NOT NULL AND r.pid = ANY (s.pids))
  FROM (SELECT coalesce(pg_catalog.array_agg(active_pid) FILTER (WHERE active_pid IS NOT NULL),
                        '{}') AS pids
          FROM pg_catalog.pg_replication_slots WHERE slot_name = $1) s
