-- The oldest transaction that runs, in any database of the server. The functions' old names
-- are those that all versions from 12 on know.
SELECT pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot())
