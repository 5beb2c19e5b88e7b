-- What the fence will change on this database, as it is now.
SELECT d.datname,
       d.datconnlimit,
       (SELECT substr(setting, length('default_transaction_read_only=') + 1)
          FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) AS setting
         WHERE s.setdatabase = d.oid
           AND s.setrole = 0
           AND setting LIKE 'default\_transaction\_read\_only=%')
  FROM pg_catalog.pg_database d
 WHERE d.datname = pg_catalog.current_database()
