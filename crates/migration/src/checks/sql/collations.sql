-- The collations that columns and indexes in the schemas $1 use, the default and the bytewise
-- ones apart.
SELECT n.nspname::text,
       c.collname::text,
       c.collversion,
       pg_collation_actual_version(c.oid)
FROM pg_catalog.pg_collation AS c
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace
WHERE c.collname NOT IN ('default', 'C', 'POSIX')
  AND c.oid IN (SELECT a.attcollation
                FROM pg_catalog.pg_attribute AS a
                     JOIN pg_catalog.pg_class AS r ON r.oid = a.attrelid
                     JOIN pg_catalog.pg_namespace AS s ON s.oid = r.relnamespace
                WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attcollation <> 0
                  AND s.nspname = ANY ($1::text[]))
ORDER BY n.nspname, c.collname
