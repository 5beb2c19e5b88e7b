-- Drops a slot only when it is the one meant.
SELECT pg_catalog.pg_drop_replication_slot(slot.slot_name)
  FROM pg_catalog.pg_replication_slots AS slot
 WHERE slot.slot_name = $1
   AND slot.plugin = $2
   AND slot.database = $3
