-- Where the server's log ends: what is written on a primary, what is replayed on a standby.
SELECT CASE
           WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
           ELSE pg_catalog.pg_current_wal_lsn()
       END
