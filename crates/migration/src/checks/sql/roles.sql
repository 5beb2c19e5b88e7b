-- The roles that own or were granted something in the schemas $1, tables apart (they are read
-- with the tables): role, whether it owns, whether it is a superuser, and one such object.
WITH objects(owner, acl, what) AS (
    SELECT n.nspowner, n.nspacl, 'schema ' || quote_ident(n.nspname)
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = ANY ($1::text[]) AND n.nspname <> 'public'
    UNION ALL
    SELECT c.relowner, c.relacl, format('%I.%I', n.nspname, c.relname)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('v', 'm', 'S')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS e
                      WHERE e.classid = 'pg_catalog.pg_class'::regclass
                        AND e.objid = c.oid AND e.deptype = 'e')
    UNION ALL
    SELECT p.proowner, p.proacl, format('function %I.%I', n.nspname, p.proname)
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY ($1::text[])
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS e
                      WHERE e.classid = 'pg_catalog.pg_proc'::regclass
                        AND e.objid = p.oid AND e.deptype = 'e')
    UNION ALL
    SELECT t.typowner, t.typacl, format('type %I.%I', n.nspname, t.typname)
    FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
    WHERE n.nspname = ANY ($1::text[]) AND t.typrelid = 0 AND t.typelem = 0
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS e
                      WHERE e.classid = 'pg_catalog.pg_type'::regclass
                        AND e.objid = t.oid AND e.deptype = 'e')
    UNION ALL
    SELECT d.defaclrole, d.defaclacl, 'default privileges of ' || quote_ident(r.rolname)
    FROM pg_catalog.pg_default_acl AS d
         JOIN pg_catalog.pg_roles AS r ON r.oid = d.defaclrole
         LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace
    WHERE n.nspname IS NULL OR n.nspname = ANY ($1::text[])
), mentions AS (
    SELECT owner AS role, true AS owns, what FROM objects
    UNION ALL
    SELECT a.grantee, false, o.what
    FROM objects AS o, aclexplode(o.acl) AS a
    WHERE a.grantee <> 0 AND a.grantee <> o.owner
)
SELECT r.rolname::text, m.owns, r.rolsuper, min(m.what), count(*)
FROM mentions AS m JOIN pg_catalog.pg_roles AS r ON r.oid = m.role
GROUP BY r.rolname, m.owns, r.rolsuper
ORDER BY r.rolname, m.owns DESC
