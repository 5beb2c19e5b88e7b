-- Every replication slot of the server. wal_status and invalidation_reason are younger than 12.
SELECT s.slot_name::text,
       coalesce(s.plugin::text, ''),
       s.slot_type,
       coalesce(s.database::text, ''),
       s.active,
       s.temporary,
       coalesce(to_jsonb(s) ->> 'wal_status', '') = 'lost',
       greatest(pg_catalog.pg_wal_lsn_diff(
           CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                ELSE pg_catalog.pg_current_wal_lsn() END,
           s.confirmed_flush_lsn), 0)::int8
FROM pg_catalog.pg_replication_slots AS s
ORDER BY s.slot_name
