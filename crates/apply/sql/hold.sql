UPDATE trunkline.progress
SET updated_at = pg_catalog.clock_timestamp()
WHERE migration = $1::text AND applied_lsn = $2::pg_lsn
