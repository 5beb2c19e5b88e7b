-- The columns of the tables in $1 (oids), in order.
-- base: the type below any domains. exact: equal by pg_catalog.= means identical.
WITH RECURSIVE attributes AS (
    SELECT a.attrelid, a.attnum, a.attname, a.attgenerated, a.attidentity, a.attnotnull,
           a.attcollation, a.atttypid
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
), bases AS (
    SELECT DISTINCT t.oid AS domain, t.oid AS base, t.typtype, t.typbasetype
    FROM attributes AS a
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    UNION ALL
    SELECT b.domain, t.oid, t.typtype, t.typbasetype
    FROM bases AS b
    JOIN pg_catalog.pg_type AS t ON t.oid = b.typbasetype
    WHERE b.typtype = 'd'
)
SELECT a.attrelid,
       a.attnum,
       a.attname,
       a.attgenerated,
       a.attidentity,
       a.attnotnull,
       tn.nspname,
       t.typname,
       CASE WHEN b.typtype IN ('c', 'p') THEN NULL ELSE an.nspname END,
       CASE WHEN b.typtype IN ('c', 'p') THEN NULL ELSE arr.typname END,
       t.typdelim,
       b.typtype = 'e'
           OR b.base IN (16, 17, 18, 19, 20, 21, 23, 26, 829, 1082, 1083, 1114, 1184, 2950, 3220, 5069)
           OR (b.base IN (25, 1043) AND coalesce(co.collisdeterministic, true))
FROM attributes AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.typnamespace
JOIN bases AS b ON b.domain = t.oid AND b.typtype <> 'd'
LEFT JOIN pg_catalog.pg_type AS arr ON arr.oid = t.typarray
LEFT JOIN pg_catalog.pg_namespace AS an ON an.oid = arr.typnamespace
LEFT JOIN pg_catalog.pg_collation AS co ON co.oid = a.attcollation
ORDER BY a.attrelid, a.attnum
