-- Which of the schemas $1 exist here, whether our role may make objects in each, and which of
-- the roles $2 may.
SELECT n.nspname::text,
       has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE'),
       ARRAY (SELECT r.rolname::text
              FROM pg_catalog.pg_roles AS r
              WHERE r.rolname = ANY ($2::text[]) AND has_schema_privilege(r.oid, n.oid, 'CREATE'))
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = ANY ($1::text[])
