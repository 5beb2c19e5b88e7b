-- The database $1 as it is now, and what the session's role may do with it.
SELECT d.datname,
       d.datconnlimit,
       (SELECT substr(setting, length('default_transaction_read_only=') + 1)
          FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) AS setting
         WHERE s.setdatabase = d.oid
           AND s.setrole = 0
           AND setting LIKE 'default\_transaction\_read\_only=%'),
       d.datallowconn,
       d.datdba::bigint,
       owner.rolname,
       me.oid::bigint,
       me.rolname,
       me.rolsuper,
       pg_catalog.pg_has_role(d.datdba, 'USAGE'),
       d.datname = pg_catalog.current_database(),
       owner.rolsuper
  FROM pg_catalog.pg_database d
  JOIN pg_catalog.pg_roles owner ON owner.oid = d.datdba
  JOIN pg_catalog.pg_roles me ON me.rolname = session_user
 WHERE d.datname = $1
