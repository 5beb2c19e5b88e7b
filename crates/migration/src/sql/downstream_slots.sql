-- The replication slots of this database, and physical ones. two_phase is younger than 13 and
-- failover younger than 16; wal_status is younger than 12.
SELECT s.slot_name::text,
       s.slot_type = 'logical',
       coalesce(s.plugin::text, ''),
       s.temporary,
       coalesce(to_jsonb(s) ->> 'wal_status', '') = 'lost',
       coalesce((to_jsonb(s) ->> 'two_phase')::bool, false),
       coalesce((to_jsonb(s) ->> 'failover')::bool, false),
       s.confirmed_flush_lsn::text,
       s.active
FROM pg_catalog.pg_replication_slots AS s
WHERE s.database IS NULL OR s.database = current_database()
ORDER BY s.slot_name
