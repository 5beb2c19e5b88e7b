-- The grants in access list $1, in its order; a grantee of NULL is everybody.
SELECT r.rolname::text, a.privilege_type, a.is_grantable
  FROM pg_catalog.aclexplode($1::text::pg_catalog.aclitem[]) WITH ORDINALITY AS a
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
 ORDER BY a.ordinality
