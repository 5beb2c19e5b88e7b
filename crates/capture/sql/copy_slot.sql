-- A temporary copy of the slot $1, of this session alone; gives its name.
SELECT slot_name::text
  FROM pg_catalog.pg_copy_logical_replication_slot($1, ('trunkline_ahead_' || pg_catalog.pg_backend_pid())::name, true)
