SELECT 'policy', r.name || p.polname::text, NULL, r.kind, r.name,
       CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update'
            WHEN 'd' THEN 'delete' ELSE 'all' END,
       CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
       (SELECT string_agg(g.role, ', ' ORDER BY g.role COLLATE "C")
          FROM (SELECT CASE member WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(member)::text END
                  FROM unnest(p.polroles) AS member) AS g(role)),
       pg_get_expr(p.polqual, p.polrelid),
       pg_get_expr(p.polwithcheck, p.polrelid)
  FROM relation r
  JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
