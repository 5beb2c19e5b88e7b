-- Roles that could connect because they inherit from the session's role. Superusers come in
-- anyhow, and are bound by the database's default.
SELECT r.rolname
  FROM pg_catalog.pg_roles r
 WHERE r.rolcanlogin
   AND NOT r.rolsuper
   AND r.rolname <> session_user
   AND pg_catalog.pg_has_role(r.oid, session_user, 'USAGE')
 ORDER BY 1
