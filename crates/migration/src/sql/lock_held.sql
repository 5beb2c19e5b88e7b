-- Whether somebody holds the migration's lock. A bigint key shows in pg_locks as its two
-- halves, with objsubid 1.
SELECT EXISTS (
    SELECT 1
      FROM pg_catalog.pg_locks l,
           (SELECT pg_catalog.hashtextextended('trunkline ' || $1, 0) AS key) k
     WHERE l.locktype = 'advisory'
       AND l.granted
       AND l.objsubid = 1
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
       AND l.classid::bigint = ((k.key >> 32) & 4294967295)
       AND l.objid::bigint = (k.key & 4294967295))
