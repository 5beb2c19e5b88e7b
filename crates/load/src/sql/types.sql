-- The types of columns, and what stands below domains.
SELECT t.oid, n.nspname::text, t.typname::text, t.typtype::text, t.typbasetype
  FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
 WHERE t.typtype = 'd'
    OR t.oid IN (SELECT typbasetype FROM pg_type WHERE typtype = 'd')
    OR t.oid IN (
        SELECT a.atttypid
          FROM pg_attribute a
          JOIN pg_class c ON c.oid = a.attrelid
         WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped)
