-- A position between two records, and how far the log is flushed. The insert position is
-- the end of the last record; the flushed one may lie inside of a record, and on a busy
-- server behind the first. On a standby the replayed position is both.
SELECT CASE
           WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
           ELSE pg_catalog.pg_current_wal_insert_lsn()
       END,
       CASE
           WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
           ELSE pg_catalog.pg_current_wal_flush_lsn()
       END
