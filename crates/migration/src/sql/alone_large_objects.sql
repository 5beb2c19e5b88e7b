-- A page of large objects after number $1, at most $2 of them, and whether our role may read
-- each.
SELECT m.oid,
       current_setting('lo_compat_privileges')::boolean
       OR (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user)
       OR CASE WHEN m.lomacl IS NULL
               THEN pg_has_role(m.lomowner, 'USAGE')
               ELSE EXISTS (SELECT FROM aclexplode(m.lomacl) a
                             WHERE a.privilege_type = 'SELECT'
                               AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
          END
  FROM pg_largeobject_metadata m
 WHERE m.oid > $1::oid
 ORDER BY m.oid
 LIMIT $2::bigint
