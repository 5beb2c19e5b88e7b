-- The names that these roles ($1) have now; those that are gone are missing.
SELECT r.oid::bigint, r.rolname
  FROM pg_catalog.pg_roles r
 WHERE r.oid::bigint = ANY ($1::bigint[])
