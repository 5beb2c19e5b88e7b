-- Whether physical slot $1 is in use, and whether the log that it keeps is still there. 12 does
-- not know that it could be lost.
SELECT s.active,
       s.slot_type = 'physical',
       coalesce(pg_catalog.to_jsonb(s) ->> 'wal_status', '') <> 'lost'
  FROM pg_catalog.pg_replication_slots s
 WHERE s.slot_name = $1
