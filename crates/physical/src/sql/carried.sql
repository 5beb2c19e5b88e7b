-- The settings that a standby may not have smaller than its origin (manual, "Administrator's
-- Overview" of hot standby), and those without which it would not start or stream. An original
-- may have them outside of its data folder.
SELECT name, pg_catalog.current_setting(name)
FROM pg_catalog.pg_settings
WHERE name IN ('max_connections', 'max_worker_processes', 'max_wal_senders',
               'max_prepared_transactions', 'max_locks_per_transaction',
               'max_replication_slots', 'wal_level', 'shared_preload_libraries')
ORDER BY name
