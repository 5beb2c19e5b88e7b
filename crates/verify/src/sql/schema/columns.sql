-- A NOT NULL that is not validated is a constraint, from 18 on. A partition has the identity of
-- its table from 17 on and none before: only the table's is read. Of a view, the columns whose
-- default was set.
SELECT 'column', r.name || a.attname::text, NULL, r.kind, r.name,
       format_type(a.atttypid, a.atttypmod),
       CASE WHEN a.attnotnull AND nn.convalidated IS FALSE THEN 'not validated'
            WHEN a.attnotnull THEN 'yes' END,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
       CASE WHEN r.relispartition THEN NULL
            WHEN a.attidentity = 'a' THEN 'always'
            WHEN a.attidentity = 'd' THEN 'by default' END,
       CASE a.attgenerated WHEN '' THEN NULL WHEN 's' THEN 'stored' ELSE 'virtual' END,
       CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
       CASE WHEN a.attcollation <> t.typcollation THEN format('%I.%I', ln.nspname, l.collname) END
  FROM relation r
  JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_catalog.pg_constraint nn
    ON nn.conrelid = a.attrelid AND nn.contype = 'n' AND nn.conkey = ARRAY[a.attnum]
  LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
  LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace
 WHERE r.kind = 'table' OR a.atthasdef
