-- Stands before the queries on relations. $1 and $2 hold the schemas and names of the chosen
-- tables, or are NULL for everything: all tables and views that belong to no extension, and
-- all such sequences with the column that owns them.
WITH extension_member AS (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
), chosen AS (
    SELECT DISTINCT u.s, u.t FROM unnest($1::text[], $2::text[]) AS u(s, t)
), relation AS (
    SELECT c.oid, c.relkind, c.relpersistence, c.relowner, c.relacl, c.reloptions, c.reloftype,
           c.relispartition, c.relpartbound, c.relrowsecurity, c.relforcerowsecurity,
           c.relreplident, n.nspname, c.relname,
           CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                ELSE 'table' END AS kind,
           ARRAY[n.nspname, c.relname]::text[] AS name
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN chosen ON chosen.s = n.nspname AND chosen.t = c.relname
     WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'trunkline')
       AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
       AND NOT EXISTS (SELECT FROM extension_member e
                        WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                          AND e.objid = c.oid)
       AND ($1::text[] IS NULL OR c.relkind IN ('r', 'p', 'f') AND chosen.s IS NOT NULL)
), sequence AS (
    SELECT c.oid, c.relowner, c.relacl, ARRAY[n.nspname, c.relname]::text[] AS name,
           CASE WHEN r.oid IS NOT NULL THEN r.name || a.attname::text END AS owner_name
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN LATERAL (
            SELECT o.refobjid, o.refobjsubid
              FROM pg_catalog.pg_depend o
             WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.objid = c.oid
               AND o.objsubid = 0 AND o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
               AND o.refobjsubid > 0 AND o.deptype IN ('a', 'i')
             LIMIT 1) d ON true
      LEFT JOIN relation r ON r.oid = d.refobjid
      LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.refobjsubid
     WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'trunkline')
       AND c.relkind = 'S'
       AND NOT EXISTS (SELECT FROM extension_member e
                        WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                          AND e.objid = c.oid)
       AND ($1::text[] IS NULL OR r.oid IS NOT NULL)
)
