-- What users make: not the row types of tables, not array types, not the multirange that comes
-- with a range (from 14 on, named among the range's aspects).
SELECT 'type', ARRAY[n.nspname, t.typname]::text[], NULL, NULL, NULL,
       CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite'
            WHEN 'r' THEN 'range' ELSE 'base' END,
       (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
          FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
       CASE WHEN t.typtype = 'd' THEN pg_get_expr(t.typdefaultbin, 0) END,
       CASE WHEN t.typtype = 'd' AND t.typnotnull THEN 'yes' END,
       CASE WHEN t.typtype = 'd' AND t.typcollation <> b.typcollation THEN
           (SELECT format('%I.%I', ln.nspname, l.collname)
              FROM pg_catalog.pg_collation l
              JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace
             WHERE l.oid = t.typcollation) END,
       (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
                          || CASE WHEN a.attcollation <> y.typcollation
                                  THEN format(' COLLATE %I.%I', ln.nspname, l.collname)
                                  ELSE '' END, ', ' ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute a
          JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
          LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
          LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace
         WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0
           AND NOT a.attisdropped),
       (SELECT concat_ws(', ', format_type(r.rngsubtype, NULL), format('%I.%I', cn.nspname, c.opcname),
                         nullif(r.rngcanonical::pg_catalog.regproc::text, '-'),
                         nullif(r.rngsubdiff::pg_catalog.regproc::text, '-'),
                         (SELECT format('%I.%I', ln.nspname, l.collname)
                            FROM pg_catalog.pg_collation l
                            JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace
                           WHERE l.oid = r.rngcollation))
          FROM pg_catalog.pg_range r
          JOIN pg_catalog.pg_opclass c ON c.oid = r.rngsubopc
          JOIN pg_catalog.pg_namespace cn ON cn.oid = c.opcnamespace
         WHERE r.rngtypid = t.oid),
       (SELECT format_type((to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid, NULL)
          FROM pg_catalog.pg_range r
         WHERE r.rngtypid = t.oid AND to_jsonb(r) ? 'rngmultitypid'),
       CASE WHEN t.typtype = 'b' THEN format('%s, %s', t.typinput, t.typoutput) END
  FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
 WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'trunkline')
   AND (t.typtype IN ('e', 'd', 'r')
        OR t.typtype = 'b' AND NOT EXISTS (SELECT FROM pg_catalog.pg_type o WHERE o.typarray = t.oid)
        OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_class c
                                        WHERE c.oid = t.typrelid AND c.relkind = 'c'))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
                      AND d.objid = t.oid AND d.deptype = 'e')
