-- The source's position, the bytes of log kept for slot $1, and why it cannot be read from any more:
-- `gone`, or in the server's word (`wal_status` is known from version 13 on, the reason from 17 on).
SELECT pg_catalog.pg_current_wal_lsn(),
       greatest(0, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn))::bigint,
       CASE WHEN s.slot_name IS NULL THEN 'gone'
            WHEN pg_catalog.to_jsonb(s) ->> 'wal_status' = 'lost'
              OR pg_catalog.to_jsonb(s) ->> 'invalidation_reason' IS NOT NULL
            THEN coalesce(pg_catalog.to_jsonb(s) ->> 'invalidation_reason', 'wal_removed')
       END
  FROM (SELECT 1) AS one
  LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1
