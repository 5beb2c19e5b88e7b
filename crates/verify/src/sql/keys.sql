-- What tells the rows of the tables $1 (quoted names) apart, each by its place in $1: the
-- primary key, or else the replica identity's index, or else the unique index of fewest
-- columns; whole, immediate, and over columns that refuse NULL.
WITH asked AS (
    SELECT ord, name::pg_catalog.regclass AS oid
      FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS asked(name, ord)
)
SELECT DISTINCT ON (a.ord) a.ord::int - 1, k.columns
  FROM asked a
  JOIN pg_catalog.pg_index i ON i.indrelid = a.oid
 CROSS JOIN LATERAL (
       SELECT pg_catalog.array_agg(att.attname::text ORDER BY c.place) AS columns,
              pg_catalog.bool_and(att.attnotnull) AS refuse_null
         FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS c(number, place)
         JOIN pg_catalog.pg_attribute att
           ON att.attrelid = i.indrelid AND att.attnum = c.number
        WHERE c.place <= i.indnkeyatts) AS k
 WHERE i.indisunique AND i.indisvalid AND i.indimmediate
   AND i.indpred IS NULL AND i.indexprs IS NULL
   AND k.refuse_null
 ORDER BY a.ord, i.indisprimary DESC, i.indisreplident DESC, i.indnkeyatts, i.indexrelid
