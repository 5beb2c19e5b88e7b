-- What a relay says of itself: whether it is a standby, how far it has replayed, the log that
-- it keeps for slot $1, its physical slot on the source, and that slot's counterpart here.
SELECT pg_catalog.pg_is_in_recovery(),
       coalesce(pg_catalog.pg_last_wal_replay_lsn(), '0/0'::pg_lsn),
       (SELECT greatest(0, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_replay_lsn(), s.restart_lsn))::bigint
          FROM pg_catalog.pg_replication_slots AS s WHERE s.slot_name = $1),
       coalesce(pg_catalog.current_setting('primary_slot_name', true), ''),
       extract(epoch FROM pg_catalog.clock_timestamp()
                          - pg_catalog.pg_last_xact_replay_timestamp())::float8
