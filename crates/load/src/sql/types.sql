-- The types of columns, and what stands below domains. One list of them: asked by OR, each type is
-- looked for among all columns where these are too many for work_mem to hash.
SELECT t.oid, n.nspname::text, t.typname::text, t.typtype::text, t.typbasetype
  FROM (SELECT a.atttypid
          FROM pg_attribute a
          JOIN pg_class c ON c.oid = a.attrelid
         WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
         UNION
        SELECT d.oid FROM pg_type d WHERE d.typtype = 'd'
         UNION
        SELECT d.typbasetype FROM pg_type d WHERE d.typtype = 'd') AS used (oid)
  JOIN pg_type t ON t.oid = used.oid
  JOIN pg_namespace n ON n.oid = t.typnamespace
