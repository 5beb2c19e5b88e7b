-- A page of large objects with their owners and grants, after a given one.
SELECT m.oid,
       pg_get_userbyid(m.lomowner)::text,
       coalesce((SELECT array_agg(CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text END
                                  || E'\n' || a.privilege_type ORDER BY a.grantee, a.privilege_type)
                   FROM aclexplode(m.lomacl) a
                  WHERE a.grantee <> m.lomowner), '{}'::text[])
  FROM pg_largeobject_metadata m
 WHERE m.oid > $1::oid
 ORDER BY m.oid
 LIMIT $2::bigint
