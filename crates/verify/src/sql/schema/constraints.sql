-- Left out: NOT NULL (a column says it), constraint triggers (a trigger says it), and the
-- foreign keys that a server makes below one of a partitioned table: it chooses their names.
SELECT 'constraint', r.name || c.conname::text, NULL, r.kind, r.name,
       regexp_replace(pg_get_constraintdef(c.oid), ' NOT VALID$', ''),
       CASE WHEN c.convalidated THEN 'yes' ELSE 'no' END
  FROM relation r
  JOIN pg_catalog.pg_constraint c ON c.conrelid = r.oid
 WHERE c.contype IN ('c', 'p', 'u', 'x') OR c.contype = 'f' AND c.conparentid = 0
