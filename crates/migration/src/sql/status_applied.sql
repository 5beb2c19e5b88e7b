-- How far changes of migration $1 are applied here, and how many are parked.
SELECT p.applied_lsn,
       extract(epoch FROM pg_catalog.clock_timestamp() - p.committed_at)::double precision,
       (SELECT count(*) FROM trunkline.parked WHERE migration = $1)
  FROM (SELECT 1) AS one
  LEFT JOIN trunkline.progress p ON p.migration = $1
