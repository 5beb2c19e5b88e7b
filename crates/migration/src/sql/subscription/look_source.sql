-- The source's position, and what slot $1 has confirmed, whether it is read, the bytes of log that
-- are kept for it, and whether changes can be read from it: it is there, and not invalidated
-- (`wal_status` is known from version 13 on).
SELECT pg_catalog.pg_current_wal_lsn(),
       s.confirmed_flush_lsn,
       coalesce(s.active, false),
       greatest(0, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn))::bigint,
       s.slot_name IS NOT NULL
         AND (pg_catalog.to_jsonb(s) ->> 'wal_status') IS DISTINCT FROM 'lost'
  FROM (SELECT 1) AS one
  LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1
