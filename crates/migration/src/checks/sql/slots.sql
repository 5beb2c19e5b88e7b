-- Every replication slot of the server. wal_status and invalidation_reason are younger than 12.
SELECT s.slot_name::text,
       coalesce(s.plugin::text, ''),
       s.slot_type,
       coalesce(s.database::text, ''),
       s.active,
       s.temporary,
       coalesce(to_jsonb(s) ->> 'wal_status', '') = 'lost'
FROM pg_catalog.pg_replication_slots AS s
ORDER BY s.slot_name
