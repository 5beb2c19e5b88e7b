-- Subscriptions that write into this database.
SELECT s.subname
  FROM pg_catalog.pg_subscription s
  JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
 WHERE d.datname = pg_catalog.current_database()
   AND s.subenabled
 ORDER BY 1
