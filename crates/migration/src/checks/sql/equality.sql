-- Columns whose type has no equality, of tables whose replica identity is the whole row:
-- schema, table, columns. A type is resolved through domains and arrays to what it rests on.
WITH RECURSIVE resolved(type, base) AS (
    SELECT t.oid, t.oid FROM pg_catalog.pg_type AS t
    UNION ALL
    SELECT r.type, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END
    FROM resolved AS r JOIN pg_catalog.pg_type AS t ON t.oid = r.base
    WHERE t.typtype = 'd' OR (t.typcategory = 'A' AND t.typelem <> 0)
), lacking AS (
    SELECT r.type
    FROM resolved AS r JOIN pg_catalog.pg_type AS t ON t.oid = r.base
    WHERE t.typtype = 'b' AND NOT (t.typcategory = 'A' AND t.typelem <> 0)
      AND NOT EXISTS (SELECT
                      FROM pg_catalog.pg_opclass AS k
                           JOIN pg_catalog.pg_am AS m ON m.oid = k.opcmethod
                      WHERE k.opcdefault AND m.amname IN ('btree', 'hash')
                        AND (k.opcintype = t.oid
                             OR EXISTS (SELECT
                                        FROM pg_catalog.pg_cast AS x
                                        WHERE x.castsource = t.oid AND x.casttarget = k.opcintype
                                          AND x.castmethod = 'b' AND x.castcontext = 'i')))
)
SELECT n.nspname::text, c.relname::text, array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_catalog.pg_class AS c
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND c.relreplident = 'f' AND a.atttypid IN (SELECT l.type FROM lacking AS l)
GROUP BY n.nspname, c.relname
ORDER BY n.nspname, c.relname
