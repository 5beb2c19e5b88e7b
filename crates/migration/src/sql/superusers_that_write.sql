-- Superusers (whom a connection limit does not bind) whose own settings switch
-- default_transaction_read_only off, in database $1 or everywhere.
SELECT r.rolname
  FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_roles r ON r.oid = s.setrole AND r.rolsuper
  LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
 CROSS JOIN unnest(s.setconfig) AS setting
 WHERE (s.setdatabase = 0 OR d.datname = $1)
   AND setting ~* '^default_transaction_read_only=(off|false|no|0|f|n)'
