-- The subscription $1 of this database: its OID, whether it is enabled, how many processes
-- work for it and how many of them apply, what its apply worker last said to the publisher,
-- the last transaction that changed a row here, and how many of its tables there are and are
-- ready.
SELECT s.oid::bigint,
       s.subenabled,
       (SELECT count(w.pid) FROM pg_catalog.pg_stat_subscription w WHERE w.subid = s.oid),
       (SELECT count(w.pid) FROM pg_catalog.pg_stat_subscription w
         WHERE w.subid = s.oid AND w.relid IS NULL),
       (SELECT w.latest_end_lsn FROM pg_catalog.pg_stat_subscription w
         WHERE w.subid = s.oid AND w.relid IS NULL AND w.latest_end_lsn IS NOT NULL
         ORDER BY w.latest_end_lsn DESC LIMIT 1),
       pg_catalog.pg_replication_origin_progress('pg_' || s.oid, true),
       (SELECT count(*) FROM pg_catalog.pg_subscription_rel r WHERE r.srsubid = s.oid),
       (SELECT count(*) FROM pg_catalog.pg_subscription_rel r
         WHERE r.srsubid = s.oid AND r.srsubstate = 'r')
  FROM pg_catalog.pg_subscription s
 WHERE s.subname = $1
   AND s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d
                     WHERE d.datname = pg_catalog.current_database())
