-- The source's position, and the bytes of log kept for slot $1.
SELECT pg_catalog.pg_current_wal_lsn(),
       (SELECT greatest(0, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn))::bigint
          FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = $1)
