SELECT format('role %I: super %s, inherit %s, createrole %s, createdb %s, login %s, '
              'replication %s, bypassrls %s, limit %s, until %s',
              rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin,
              rolreplication, rolbypassrls, rolconnlimit, rolvaliduntil)
FROM pg_roles
UNION ALL
SELECT format('member %s of %s, admin %s', member::regrole, roleid::regrole, admin_option)
FROM pg_auth_members
UNION ALL
SELECT format('default privileges of %s in %s on %s: %s', defaclrole::regrole,
              CASE WHEN defaclnamespace <> 0 THEN defaclnamespace::regnamespace END,
              defaclobjtype, defaclacl)
FROM pg_default_acl
