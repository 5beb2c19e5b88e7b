-- What the control schema says of migration $1, and of its leg $2.
SELECT (SELECT coalesce(sum(rows), 0)::bigint FROM trunkline.copy_parts WHERE state = 'copied'),
       (SELECT coalesce(max(rows_total), 0)::bigint FROM trunkline.migration WHERE name = $1),
       coalesce(f.rows_applied, 0),
       f.confirmed_lsn,
       f.apply_bytes_per_second,
       f.source_bytes_per_second,
       EXISTS (SELECT 1 FROM pg_catalog.pg_locks l,
                      (SELECT pg_catalog.hashtextextended('trunkline ' || $1, 0) AS key) k
                WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                  AND l.classid::bigint = ((k.key >> 32) & 4294967295)
                  AND l.objid::bigint = (k.key & 4294967295))
  FROM (SELECT 1) AS one
  LEFT JOIN trunkline.follower f ON f.migration = $1 AND f.leg = $2::integer
