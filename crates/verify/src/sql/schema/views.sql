-- The options of a materialized view are about storage, those of a view about who sees what.
SELECT r.kind, r.name, NULL, NULL, NULL,
       pg_get_viewdef(r.oid),
       CASE WHEN r.relkind = 'v' THEN
           (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(r.reloptions) AS o) END
  FROM relation r
 WHERE r.kind <> 'table'
