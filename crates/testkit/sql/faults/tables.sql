-- The tables with rows of their own in the schemas $1: schema, name, quoted name, what tells
-- rows apart (the primary key, else the replica identity's index, else the unique index of
-- fewest columns; whole, immediate, over columns that refuse NULL), and the column lists of
-- unique constraints that a replica's session does not check, because they are deferrable.
SELECT n.nspname::text, c.relname::text, format('%I.%I', n.nspname, c.relname),
       coalesce(key.columns, '{}'),
       ARRAY(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY p.place)
             FROM pg_catalog.pg_index AS i,
                  unnest(i.indkey::int2[]) WITH ORDINALITY AS p(number, place),
                  pg_catalog.pg_attribute AS a
             WHERE i.indrelid = c.oid AND i.indisunique AND NOT i.indimmediate
               AND a.attrelid = c.oid AND a.attnum = p.number
             GROUP BY i.indexrelid)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT found.columns
    FROM pg_catalog.pg_index AS i
    CROSS JOIN LATERAL (
        SELECT array_agg(a.attname::text ORDER BY p.place) AS columns,
               bool_and(a.attnotnull) AS refuse_null
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS p(number, place)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = p.number
        WHERE p.place <= i.indnkeyatts) AS found
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL AND found.refuse_null
    ORDER BY i.indisprimary DESC, i.indisreplident DESC, i.indnkeyatts, i.indexrelid
    LIMIT 1) AS key ON true
WHERE n.nspname = ANY ($1::text[]) AND c.relkind = 'r' AND c.relpersistence = 'p'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                    AND d.deptype = 'e')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
