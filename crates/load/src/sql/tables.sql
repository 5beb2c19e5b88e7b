-- Every ordinary and partitioned table that could be moved, one row each. What hangs on a table is
-- looked up for it: of very many tables less than half of the attributes are of theirs.
SELECT c.oid,
       n.nspname::text,
       c.relname::text,
       c.relkind::text,
       c.relpersistence::text,
       c.relreplident::text,
       greatest(c.reltuples, 0)::bigint,
       CASE WHEN c.relkind = 'r' THEN coalesce(pg_relation_size(c.oid), 0) ELSE 0 END,
       CASE WHEN c.reltoastrelid <> 0
            THEN coalesce(pg_relation_size(c.reltoastrelid), 0) ELSE 0 END,
       c.relispartition,
       coalesce(parents.oids, '{}'::text[]),
       coalesce(keys.primary_columns, '{}'::text[]),
       coalesce(keys.identity_columns, '{}'::text[]),
       coalesce(columns.names, '{}'::text[]),
       coalesce(columns.types, '{}'::text[]),
       coalesce(columns.flags, '{}'::text[]),
       e.oid IS NOT NULL,
       e.extcondition[array_position(e.extconfig, c.oid)]
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (
        SELECT array_agg(inhparent::text ORDER BY inhseqno) AS oids
          FROM pg_inherits
         WHERE inhrelid = c.oid
       ) parents ON true
  LEFT JOIN LATERAL (
        SELECT array_agg(a.attname::text ORDER BY k.place) FILTER (WHERE i.indisprimary)
                   AS primary_columns,
               array_agg(a.attname::text ORDER BY k.place) FILTER (WHERE i.indisreplident)
                   AS identity_columns
          FROM pg_index i
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place)
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE i.indrelid = c.oid
           AND (i.indisprimary OR i.indisreplident)
           AND k.place <= i.indnkeyatts
       ) keys ON true
  LEFT JOIN LATERAL (
        SELECT array_agg(attname::text ORDER BY attnum) AS names,
               array_agg(atttypid::text ORDER BY attnum) AS types,
               array_agg(attgenerated::text || ',' || attidentity::text || ','
                         || CASE WHEN attnotnull THEN 'n' ELSE '' END ORDER BY attnum) AS flags
          FROM pg_attribute
         WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
       ) columns ON true
  LEFT JOIN pg_depend d
         ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
        AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
  LEFT JOIN pg_extension e ON e.oid = d.refobjid
 WHERE c.relkind IN ('r', 'p')
   AND c.relpersistence <> 't'
   AND n.nspname !~ '^pg_'
   AND n.nspname NOT IN ('information_schema', 'trunkline')
   AND (e.oid IS NULL OR c.oid = ANY (e.extconfig))
 ORDER BY c.oid
