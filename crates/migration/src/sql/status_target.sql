-- What the control schema says of migration $1.
SELECT (SELECT coalesce(sum(rows), 0)::bigint FROM trunkline.copy_parts WHERE state = 'copied'),
       (SELECT coalesce(max(rows_total), 0)::bigint FROM trunkline.migration WHERE name = $1),
       EXISTS (SELECT 1 FROM pg_catalog.pg_locks l,
                      (SELECT pg_catalog.hashtextextended('trunkline ' || $1, 0) AS key) k
                WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                  AND l.classid::bigint = ((k.key >> 32) & 4294967295)
                  AND l.objid::bigint = (k.key & 4294967295))
