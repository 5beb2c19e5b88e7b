-- The index of a constraint hangs on the constraint.
SELECT 'index', ARRAY[r.nspname, i.relname]::text[], NULL,
       CASE WHEN c.oid IS NULL THEN r.kind ELSE 'constraint' END,
       CASE WHEN c.oid IS NULL THEN r.name ELSE r.name || c.conname::text END,
       pg_get_indexdef(x.indexrelid),
       CASE WHEN x.indisvalid AND x.indisready THEN 'yes' ELSE 'no' END,
       (SELECT format('%I.%I', n.nspname, p.relname)
          FROM pg_catalog.pg_inherits h
          JOIN pg_catalog.pg_class p ON p.oid = h.inhparent
          JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
         WHERE h.inhrelid = x.indexrelid)
  FROM relation r
  JOIN pg_catalog.pg_index x ON x.indrelid = r.oid
  JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
  LEFT JOIN pg_catalog.pg_constraint c
    ON c.conindid = x.indexrelid AND c.conrelid = r.oid AND c.contype IN ('p', 'u', 'x')
