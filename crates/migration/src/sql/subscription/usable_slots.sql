-- The slots of this database of which changes can still be read. `wal_status` is known from
-- version 13 on.
SELECT s.slot_name::text
  FROM pg_catalog.pg_replication_slots s
 WHERE s.database = pg_catalog.current_database()
   AND (pg_catalog.to_jsonb(s) ->> 'wal_status') IS DISTINCT FROM 'lost'
