-- Where a server stands between standby and server of its own. Functions of recovery raise an
-- error outside of it, so they are called only inside.
SELECT r.inside,
       CASE WHEN r.inside THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END,
       CASE WHEN r.inside THEN pg_catalog.pg_last_wal_replay_lsn()
            ELSE pg_catalog.pg_current_wal_lsn() END,
       CASE WHEN r.inside THEN pg_catalog.pg_last_wal_receive_lsn() END,
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())
FROM (SELECT pg_catalog.pg_is_in_recovery() AS inside) r
