-- A transaction number of our own. The function's old name is the one that all versions from
-- 12 on know.
SELECT pg_catalog.txid_current()
