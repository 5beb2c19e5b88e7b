-- A partitioned table may have been marked UNLOGGED before 18, which never meant anything.
SELECT 'table', r.name, NULL, NULL, NULL,
       CASE r.relkind WHEN 'p' THEN 'partitioned' WHEN 'f' THEN 'foreign' ELSE 'ordinary' END,
       CASE WHEN r.relkind = 'r' AND r.relpersistence = 'u' THEN 'unlogged' ELSE 'logged' END,
       CASE WHEN r.reloftype <> 0 THEN format_type(r.reloftype, NULL) END,
       CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
       CASE WHEN r.relispartition THEN parents.names END,
       pg_get_expr(r.relpartbound, r.oid),
       CASE WHEN NOT r.relispartition THEN parents.names END,
       CASE WHEN r.relrowsecurity AND r.relforcerowsecurity THEN 'enabled, forced'
            WHEN r.relrowsecurity THEN 'enabled'
            WHEN r.relforcerowsecurity THEN 'forced' END,
       CASE r.relreplident WHEN 'd' THEN 'default' WHEN 'f' THEN 'full' WHEN 'n' THEN 'nothing'
            ELSE coalesce((SELECT format('index %I', i.relname)
                             FROM pg_catalog.pg_index x
                             JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
                            WHERE x.indrelid = r.oid AND x.indisreplident),
                          'an index that is gone') END,
       s.srvname,
       (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(t.ftoptions) AS o)
  FROM relation r
  LEFT JOIN pg_catalog.pg_foreign_table t ON t.ftrelid = r.oid
  LEFT JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver
  LEFT JOIN (SELECT h.inhrelid,
                    string_agg(format('%I.%I', n.nspname, p.relname), ', ' ORDER BY h.inhseqno) AS names
               FROM pg_catalog.pg_inherits h
               JOIN pg_catalog.pg_class p ON p.oid = h.inhparent
               JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
              GROUP BY h.inhrelid) AS parents ON parents.inhrelid = r.oid
 WHERE r.kind = 'table'
