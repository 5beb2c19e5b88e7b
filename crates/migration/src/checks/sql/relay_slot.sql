-- A slot of the source ($1) that a relay streams from: whether it is physical, and whether its
-- log is lost.
SELECT s.slot_type = 'physical',
       coalesce(s.wal_status, '') = 'lost'
FROM pg_catalog.pg_replication_slots AS s
WHERE s.slot_name = $1
