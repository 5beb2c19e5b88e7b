-- The enabled triggers of users on the tables $2 (in the schemas $1, pairwise), and how.
SELECT n.nspname::text, c.relname::text, g.tgname::text, g.tgenabled
FROM pg_catalog.pg_trigger AS g
     JOIN pg_catalog.pg_class AS c ON c.oid = g.tgrelid
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT g.tgisinternal AND g.tgenabled <> 'D'
  AND (n.nspname::text, c.relname::text) IN (SELECT w.s, w.t FROM unnest($1::text[], $2::text[]) AS w(s, t))
ORDER BY n.nspname, c.relname, g.tgname
