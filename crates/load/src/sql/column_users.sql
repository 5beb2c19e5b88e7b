-- What on the source uses columns that are to be left out ($1 their tables, $2 their names):
-- catalog, OID and description of each object, how it uses the column, and the column.
WITH gone AS (
    SELECT a.attrelid, a.attnum, a.attname::text AS attname,
           n.nspname || '.' || c.relname AS of
      FROM unnest($1::text[], $2::text[]) AS wanted(relation, attname)
      JOIN pg_attribute a
        ON a.attrelid = to_regclass(wanted.relation) AND a.attname = wanted.attname
       AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_class c ON c.oid = a.attrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
),
users AS (
    SELECT gone.*, d.classid, d.objid, d.objsubid
      FROM gone
      JOIN pg_depend d
        ON d.refclassid = 'pg_class'::regclass AND d.refobjid = gone.attrelid
       AND d.refobjsubid = gone.attnum
)
SELECT DISTINCT
       CASE WHEN u.classid = 'pg_rewrite'::regclass THEN 'pg_class'::regclass::oid
            ELSE u.classid END,
       coalesce(r.ev_class, u.objid),
       CASE WHEN r.ev_class IS NOT NULL
            THEN pg_describe_object('pg_class'::regclass, r.ev_class, 0)
            ELSE pg_describe_object(u.classid, u.objid, u.objsubid) END,
       CASE WHEN u.classid = 'pg_class'::regclass AND u.objid = u.attrelid AND u.objsubid = 0
            THEN 'partition key'
            WHEN u.classid = 'pg_class'::regclass AND u.objsubid > 0
            THEN 'generated'
            WHEN ad.oid IS NOT NULL AND ad.adnum <> u.attnum
            THEN 'generated'
            ELSE 'object' END,
       u.of,
       u.attname,
       coalesce(ga.attname, '')::text
  FROM users u
  LEFT JOIN pg_rewrite r ON u.classid = 'pg_rewrite'::regclass AND r.oid = u.objid
  LEFT JOIN pg_attrdef ad ON u.classid = 'pg_attrdef'::regclass AND ad.oid = u.objid
  LEFT JOIN pg_attribute ga
         ON (ga.attrelid, ga.attnum) = (ad.adrelid, ad.adnum)
         OR (u.classid = 'pg_class'::regclass AND u.objsubid > 0
             AND (ga.attrelid, ga.attnum) = (u.objid, u.objsubid))
 WHERE NOT (u.classid = 'pg_class'::regclass AND u.objid = u.attrelid AND u.objsubid = u.attnum)
UNION ALL
SELECT 'pg_class'::regclass::oid, gone.attrelid, gone.of, 'partition key', gone.of, gone.attname, ''
  FROM gone
  JOIN pg_partitioned_table p ON p.partrelid = gone.attrelid
 WHERE gone.attnum = ANY (p.partattrs::int2[])
