-- Moves a slot on, unless it is there already; gives where it stands then.
SELECT CASE
           WHEN slot.confirmed_flush_lsn >= $2::pg_lsn THEN NULL
           ELSE (SELECT moved.end_lsn FROM pg_catalog.pg_replication_slot_advance(slot.slot_name, $2::pg_lsn) AS moved)
       END
  FROM pg_catalog.pg_replication_slots AS slot
 WHERE slot.slot_name = $1
