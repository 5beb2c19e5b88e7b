-- Superusers (whom neither a connection limit nor a right to connect binds) whose own
-- settings switch default_transaction_read_only off, in database $1 or everywhere. A boolean
-- may be shortened as far as it is unique (manual, "Parameter Names and Values").
SELECT DISTINCT r.rolname
  FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_roles r ON r.oid = s.setrole AND r.rolsuper AND r.rolcanlogin
  LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
 CROSS JOIN unnest(s.setconfig) AS setting
 WHERE (s.setdatabase = 0 OR d.datname = $1)
   AND setting ~* '^default_transaction_read_only=(of|f|n|0)'
 ORDER BY 1
