-- What mending needs to know of the target's tables $1 (schemas), $2 (names): a row a column,
-- and one row without a column of a table that has none.
-- fires: something would act on its own when a row is changed in the origin role.
-- equality: the operator by which a unique index compares the column.
-- output: a cast to text is not what the type's output function writes.
WITH RECURSIVE wanted AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind = 'p' AS partitioned
    FROM unnest($1::text[], $2::text[]) AS w(schema, name)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
    WHERE c.relkind IN ('r', 'p')
), parts AS (
    SELECT oid AS root, oid AS relid FROM wanted
    UNION
    SELECT w.oid, p.relid::oid
    FROM wanted AS w CROSS JOIN LATERAL pg_catalog.pg_partition_tree(w.oid) AS p
    WHERE w.partitioned
), firing AS (
    SELECT p.root
    FROM parts AS p
    WHERE EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                  WHERE t.tgrelid = p.relid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A'))
       OR EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r
                  WHERE r.ev_class = p.relid AND r.ev_enabled IN ('O', 'A'))
       OR EXISTS (SELECT FROM pg_catalog.pg_constraint AS f
                  WHERE f.confrelid = p.relid AND f.contype = 'f'
                    AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd')))
), uniques AS (
    SELECT p.root, p.relid, i.indexrelid,
           -- A slice counts from 1, where the vectors count from 0.
           (i.indkey::int2[])[0:i.indnkeyatts - 1] AS keys,
           i.indclass AS classes,
           i.indpred IS NOT NULL OR i.indexprs IS NOT NULL AS computed
    FROM parts AS p
    JOIN pg_catalog.pg_index AS i ON i.indrelid = p.relid AND (i.indisunique OR i.indisexclusion)
), indexed AS (
    SELECT DISTINCT u.root, a.attname
    FROM uniques AS u
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = u.relid AND a.attnum > 0
    WHERE a.attnum = ANY (u.keys)
       OR (u.computed AND EXISTS (
            SELECT FROM pg_catalog.pg_depend AS d
            WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = u.indexrelid
              AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = u.relid
              AND d.refobjsubid = a.attnum))
), equalities AS (
    SELECT u.root, a.attname,
           min(CASE opn.nspname WHEN 'pg_catalog' THEN op.oprname::text
               ELSE format('OPERATOR(%I.%s)', opn.nspname, op.oprname) END) AS equality
    FROM uniques AS u
    CROSS JOIN LATERAL generate_series(1, array_upper(u.keys, 1)) AS position
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = u.relid AND a.attnum = u.keys[position]
    JOIN pg_catalog.pg_opclass AS oc ON oc.oid = u.classes[position - 1]
    JOIN pg_catalog.pg_am AS am ON am.oid = oc.opcmethod AND am.amname = 'btree'
    JOIN pg_catalog.pg_amop AS ao
      ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy = 3
     AND ao.amoplefttype = oc.opcintype AND ao.amoprighttype = oc.opcintype
    JOIN pg_catalog.pg_operator AS op ON op.oid = ao.amopopr
    JOIN pg_catalog.pg_namespace AS opn ON opn.oid = op.oprnamespace
    GROUP BY u.root, a.attname
), deciding AS (
    SELECT DISTINCT p.root, a.attname
    FROM parts AS p
    JOIN pg_catalog.pg_partitioned_table AS k ON k.partrelid = p.relid
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.relid AND a.attnum > 0
    -- An expression may look at any column.
    WHERE a.attnum = ANY (k.partattrs::int2[]) OR k.partexprs IS NOT NULL
), bases AS (
    SELECT DISTINCT t.oid AS domain, t.oid AS base, t.typtype, t.typbasetype
    FROM wanted AS w
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = w.oid AND a.attnum > 0
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    UNION ALL
    SELECT b.domain, t.oid, t.typtype, t.typbasetype
    FROM bases AS b
    JOIN pg_catalog.pg_type AS t ON t.oid = b.typbasetype
    WHERE b.typtype = 'd'
)
SELECT w.nspname,
       w.relname,
       w.partitioned,
       w.oid IN (SELECT root FROM firing) AS fires,
       a.attname,
       format_type(a.atttypid, -1),
       a.attgenerated,
       a.attidentity = 'a',
       i.attname IS NOT NULL,
       d.attname IS NOT NULL,
       e.equality,
       EXISTS (SELECT FROM pg_catalog.pg_cast AS c
               WHERE c.castsource = b.base AND c.casttarget = 'pg_catalog.text'::regtype
                 AND c.castmethod = 'f'
                 -- Theirs tell all values apart: boolean, name, cidr, inet.
                 AND c.castsource NOT IN (16, 19, 650, 869)) AS output,
       NOT coalesce(co.collisdeterministic, true)
FROM wanted AS w
LEFT JOIN pg_catalog.pg_attribute AS a
  ON a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN bases AS b ON b.domain = a.atttypid AND b.typtype <> 'd'
LEFT JOIN pg_catalog.pg_collation AS co ON co.oid = a.attcollation
LEFT JOIN indexed AS i ON i.root = w.oid AND i.attname = a.attname
LEFT JOIN deciding AS d ON d.root = w.oid AND d.attname = a.attname
LEFT JOIN equalities AS e ON e.root = w.oid AND e.attname = a.attname
ORDER BY w.nspname, w.relname, a.attnum
