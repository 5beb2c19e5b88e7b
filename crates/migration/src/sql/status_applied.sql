-- How far changes of migration $1 are applied here in its leg $2, and how many are parked.
SELECT p.applied_lsn,
       extract(epoch FROM pg_catalog.clock_timestamp() - p.committed_at)::double precision,
       (SELECT count(*) FROM trunkline.parked WHERE migration = $1),
       coalesce(f.rows_applied, 0),
       f.confirmed_lsn,
       f.apply_bytes_per_second,
       f.source_bytes_per_second
  FROM (SELECT 1) AS one
  LEFT JOIN trunkline.progress p ON p.migration = $1
  LEFT JOIN trunkline.follower f ON f.migration = $1 AND f.leg = $2::integer
