-- The progress moves from $2, where this run left it, to $3. $5 is in microseconds since
-- 2000-01-01 UTC.
UPDATE trunkline.progress
SET applied_lsn = $3::pg_lsn,
    commit_lsn = $4::pg_lsn,
    committed_at = '2000-01-01 00:00:00+00'::timestamptz
        + $5::double precision * '1 microsecond'::interval,
    updated_at = pg_catalog.clock_timestamp()
WHERE migration = $1::text AND applied_lsn = $2::pg_lsn
