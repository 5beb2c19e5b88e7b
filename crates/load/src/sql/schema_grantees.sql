-- Who has something on schema $1; NULL is everybody.
SELECT DISTINCT r.rolname::text
  FROM pg_catalog.pg_namespace n
 CROSS JOIN pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
 WHERE n.nspname = $1::text
