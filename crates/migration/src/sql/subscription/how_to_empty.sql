-- Whether table $2 of schema $1 is partitioned, and whether a foreign key of another one refers
-- to it.
SELECT c.relkind = 'p',
       EXISTS (SELECT FROM pg_catalog.pg_constraint f
                WHERE f.contype = 'f' AND f.confrelid = c.oid AND f.conrelid <> c.oid)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1::text
   AND c.relname = $2::text
