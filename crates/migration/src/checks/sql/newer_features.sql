-- Objects in the schemas $1 that need at least a certain version: version, what it is, object.
-- Catalog columns that the server does not have yet are read through jsonb, as NULL.
SELECT 14, 'a function with a body in standard SQL', format('%I.%I', n.nspname, p.proname)
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = ANY ($1::text[]) AND to_jsonb(p) ->> 'prosqlbody' IS NOT NULL
UNION ALL
SELECT 14, 'a column with its own compression', format('%I.%I.%I', n.nspname, c.relname, a.attname)
FROM pg_catalog.pg_attribute AS a
     JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
  AND current_setting('server_version_num')::int >= 140000
  AND coalesce(to_jsonb(a) ->> 'attcompression', '') <> ''
UNION ALL
SELECT 15, 'a unique index that takes NULLs as equal', format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_index AS i
     JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1::text[]) AND i.indisunique
  AND (to_jsonb(i) ->> 'indnullsnotdistinct')::boolean
UNION ALL
SELECT 15, 'a view with the rights of its caller', format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1::text[]) AND c.relkind = 'v'
  AND EXISTS (SELECT FROM unnest(c.reloptions) AS o(option) WHERE o.option LIKE 'security_invoker=%')
UNION ALL
SELECT 18, 'a key WITHOUT OVERLAPS or a foreign key with PERIOD', format('%I.%I', n.nspname, k.conname)
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace
WHERE n.nspname = ANY ($1::text[]) AND (to_jsonb(k) ->> 'conperiod')::boolean
UNION ALL
SELECT 18, 'a virtual generated column', format('%I.%I.%I', n.nspname, c.relname, a.attname)
FROM pg_catalog.pg_attribute AS a
     JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1::text[]) AND a.attgenerated = 'v'
UNION ALL
SELECT 18, 'a foreign key or check that is not enforced', format('%I.%I', n.nspname, k.conname)
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace
WHERE n.nspname = ANY ($1::text[]) AND NOT (to_jsonb(k) ->> 'conenforced')::boolean
ORDER BY 1, 2, 3
