-- Write-ahead log since its statistics were reset, and the seconds since then (14 and later).
SELECT w.wal_bytes::bigint,
       extract(epoch FROM clock_timestamp() - w.stats_reset)::bigint
FROM pg_catalog.pg_stat_wal AS w
