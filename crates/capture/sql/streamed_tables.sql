-- What the lines of test_decoding do not say of tables: their columns in order, the columns
-- of the replica identity and of the primary key, and names as the server quotes them. $1: OIDs. One row a column;
-- a table without columns has one row.
SELECT c.oid,
       n.nspname::text,
       c.relname::text,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       c.relreplident::text,
       pg_catalog.quote_ident(a.attname),
       pg_catalog.format_type(a.atttypid, NULL),
       a.attgenerated::text <> '',
       COALESCE(a.attnum = ANY (k.columns), false),
       COALESCE(a.attnum = ANY (p.columns), false),
       a.atttypid,
       a.atttypmod
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute AS a
    ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN LATERAL (
       SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS columns
         FROM pg_catalog.pg_index AS i
        WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND i.indisprimary
       ) AS p ON true
  LEFT JOIN LATERAL (
       SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS columns
         FROM pg_catalog.pg_index AS i
        WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
          AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
                                  WHEN 'i' THEN i.indisreplident
                                  ELSE false END
       ) AS k ON true
 WHERE c.oid = ANY ($1::oid[])
 ORDER BY c.oid, a.attnum
