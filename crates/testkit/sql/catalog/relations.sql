-- Schemas and relations with what can be changed about them. Toast tables follow their tables.
SELECT format('schema %I: owner %s, acl %s', nspname, pg_get_userbyid(nspowner), nspacl)
FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
UNION ALL
SELECT format('relation %s: kind %s, owner %s, acl %s, persistence %s, identity %s, options %s, '
              'row security %s %s, partition %s',
              c.oid::regclass, c.relkind, pg_get_userbyid(c.relowner), c.relacl, c.relpersistence,
              c.relreplident, c.reloptions, c.relrowsecurity, c.relforcerowsecurity,
              pg_get_expr(c.relpartbound, c.oid))
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND c.relpersistence <> 't'
UNION ALL
SELECT format('%s inherits %s', inhrelid::regclass, inhparent::regclass)
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE c.relpersistence <> 't'
UNION ALL
SELECT format('view %s: %s', c.oid::regclass, md5(pg_get_viewdef(c.oid)))
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
UNION ALL
SELECT format('sequence %s: %s from %s by %s, %s to %s, cache %s, cycle %s', seqrelid::regclass,
              seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle)
FROM pg_sequence
