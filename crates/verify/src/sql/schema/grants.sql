-- Who may do what: no list at all is the owner's default, spelled out. The owner goes by that
-- word, so that only rights are compared and not who owns. MAINTAIN exists from 17 on and
-- stands apart.
, granted AS (
    SELECT r.kind, r.name, NULL::text AS arguments, r.relowner AS owner,
           coalesce(r.relacl, acldefault('r', r.relowner)) AS acl
      FROM relation r
    UNION ALL
    SELECT 'column', r.name || a.attname::text, NULL, r.relowner, a.attacl
      FROM relation r
      JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND NOT a.attisdropped
     WHERE a.attacl IS NOT NULL
    UNION ALL
    SELECT 'sequence', q.name, NULL, q.relowner, coalesce(q.relacl, acldefault('s', q.relowner))
      FROM sequence q
    UNION ALL
    SELECT 'schema', ARRAY[n.nspname]::text[], NULL, n.nspowner,
           coalesce(n.nspacl, acldefault('n', n.nspowner))
      FROM pg_catalog.pg_namespace n
     WHERE $1::text[] IS NULL
       AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'trunkline')
       AND NOT EXISTS (SELECT FROM extension_member e
                        WHERE e.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
                          AND e.objid = n.oid)
    UNION ALL
    SELECT 'function', ARRAY[n.nspname, p.proname]::text[],
           '(' || oidvectortypes(p.proargtypes) || ')', p.proowner,
           coalesce(p.proacl, acldefault('f', p.proowner))
      FROM pg_catalog.pg_proc p
      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
     WHERE $1::text[] IS NULL
       AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'trunkline')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                        WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                          AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
)
SELECT g.kind, g.name, g.arguments,
       CASE WHEN x.grantee = g.owner THEN 'its owner'
            WHEN x.grantee = 0 THEN 'PUBLIC'
            ELSE pg_get_userbyid(x.grantee)::text END AS receiver,
       string_agg(x.privilege_type || CASE WHEN x.grantable THEN ' with grant option' ELSE '' END,
                  ', ' ORDER BY x.privilege_type COLLATE "C")
           FILTER (WHERE x.privilege_type <> 'MAINTAIN'),
       max(CASE WHEN x.grantable THEN 'yes, with grant option' ELSE 'yes' END)
           FILTER (WHERE x.privilege_type = 'MAINTAIN')
  FROM granted g
 CROSS JOIN LATERAL (SELECT e.grantee, e.privilege_type, bool_or(e.is_grantable) AS grantable
                       FROM aclexplode(g.acl) AS e
                      GROUP BY e.grantee, e.privilege_type) AS x
 GROUP BY g.kind, g.name, g.arguments, receiver
