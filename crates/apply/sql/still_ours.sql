-- The progress stands at $2 because this very transaction has put it there. A row's version is
-- told by 32 bits of its transaction's id.
UPDATE trunkline.progress
SET updated_at = pg_catalog.clock_timestamp()
WHERE migration = $1::text AND applied_lsn = $2::pg_lsn
  AND xmin::text = (pg_catalog.txid_current() % 4294967296)::text
