-- What the server says of a slot. Columns that only newer versions have are read through
-- jsonb and come as NULL from older ones: wal_status and safe_wal_size from 13 on,
-- conflicting from 16 on, invalidation_reason from 17 on.
SELECT slot.slot_type,
       slot.plugin,
       slot.database,
       slot.temporary,
       slot.active_pid,
       slot.restart_lsn,
       slot.confirmed_flush_lsn,
       pg_catalog.pg_wal_lsn_diff(
           CASE
               WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
               ELSE pg_catalog.pg_current_wal_lsn()
           END,
           slot.restart_lsn
       )::bigint AS kept_bytes,
       newer.facts ->> 'wal_status',
       (newer.facts ->> 'safe_wal_size')::bigint,
       (newer.facts ->> 'conflicting')::boolean,
       newer.facts ->> 'invalidation_reason'
  FROM pg_catalog.pg_replication_slots AS slot,
       LATERAL (SELECT pg_catalog.to_jsonb(slot) AS facts) AS newer
 WHERE slot.slot_name = $1
