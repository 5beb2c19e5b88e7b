-- The columns of the tables in the schemas $1, in order of name: schema, table, name, quoted
-- name, the type below any domain (name and kind: array, or pg_type.typtype), the labels of an
-- enum, whether the column is generated, and whether an UPDATE may set it.
WITH RECURSIVE below AS (
    SELECT a.attrelid, a.attnum, a.atttypid AS type
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1::text[]) AND c.relkind = 'r'
      AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attrelid, b.attnum, t.typbasetype
    FROM below AS b JOIN pg_catalog.pg_type AS t ON t.oid = b.type
    WHERE t.typtype = 'd'
)
SELECT n.nspname::text, c.relname::text, a.attname::text, quote_ident(a.attname), t.typname::text,
       CASE WHEN t.typelem <> 0 AND t.typlen = -1 AND t.typname LIKE '\_%' THEN 'array'
            ELSE t.typtype::text END,
       ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e
             WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder),
       a.attgenerated <> '', a.attgenerated = '' AND a.attidentity <> 'a'
FROM below AS b
JOIN pg_catalog.pg_type AS t ON t.oid = b.type AND t.typtype <> 'd'
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = b.attrelid AND a.attnum = b.attnum
JOIN pg_catalog.pg_class AS c ON c.oid = b.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", a.attname COLLATE "C"
