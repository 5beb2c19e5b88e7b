-- The columns of a table whose values a server compresses if that makes them smaller, and the
-- table's pages, and whether the table is ours to alter and nothing stands on it; none where the
-- rows are stored in another way. Before 14 only those whose length is known without reading them.
SELECT a.attname::text,
       pg_relation_size(c.oid) / current_setting('block_size')::bigint,
       pg_has_role(c.relowner, 'USAGE')
       AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid)
  FROM pg_class c
  JOIN pg_am am ON am.oid = c.relam AND am.amname = 'heap'
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.oid = $1::text::regclass
   AND c.relkind = 'r'
   AND a.attstorage = 'x'
   AND a.attgenerated = ''
   AND (current_setting('server_version_num')::integer >= 140000
        OR a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'bytea'::regtype))
 ORDER BY a.attnum
