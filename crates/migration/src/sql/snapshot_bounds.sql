-- The oldest transaction that runs, and the first that has not begun. The function's old name
-- is the one that all versions from 12 on know.
SELECT pg_catalog.txid_snapshot_xmin(s), pg_catalog.txid_snapshot_xmax(s)
  FROM pg_catalog.txid_current_snapshot() AS s
