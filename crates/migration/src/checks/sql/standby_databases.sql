-- The other databases of this server, with the sessions that are in them now. A role without
-- pg_read_all_stats sees their number all the same.
SELECT d.datname,
       (SELECT count(*)
          FROM pg_catalog.pg_stat_activity a
         WHERE a.datid = d.oid
           AND coalesce(a.application_name, '') NOT LIKE 'trunkline %')
  FROM pg_catalog.pg_database d
 WHERE d.datallowconn
   AND NOT d.datistemplate
   AND d.datname <> pg_catalog.current_database()
   AND d.datname <> $1
 ORDER BY d.datname
