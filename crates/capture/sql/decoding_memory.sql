-- A transaction that does not fit logical_decoding_work_mem is written to files change by change
-- and read back the same way, several times the cost of decoding it. A session that decodes a
-- batch is a maintenance operation: it may take what the server's administrator gives those, and
-- 256 MB at the most, as servers before the minor releases of November 2024 take a multiple of
-- it.
SELECT pg_catalog.set_config('logical_decoding_work_mem', (wanted.bytes / 1024)::text || 'kB', false)
  FROM (SELECT least(pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')), 256 * 1024 * 1024) AS bytes) AS wanted
 WHERE wanted.bytes > pg_catalog.pg_size_bytes(pg_catalog.current_setting('logical_decoding_work_mem'))
