-- Which of the collations $2 (in the schemas $1, pairwise) this database has.
SELECT n.nspname::text,
       c.collname::text,
       c.collversion,
       pg_collation_actual_version(c.oid)
FROM pg_catalog.pg_collation AS c
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace
WHERE (n.nspname::text, c.collname::text) IN (SELECT w.s, w.c FROM unnest($1::text[], $2::text[]) AS w(s, c))
  AND c.collencoding IN (-1, (SELECT d.encoding FROM pg_catalog.pg_database AS d
                              WHERE d.datname = current_database()))
