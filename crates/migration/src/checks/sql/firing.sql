-- Triggers and rules that fire while changes are applied (session_replication_role = replica):
-- those set to ALWAYS or REPLICA.
SELECT n.nspname::text, c.relname::text, 'trigger', g.tgname::text, g.tgenabled = 'A'
FROM pg_catalog.pg_trigger AS g
     JOIN pg_catalog.pg_class AS c ON c.oid = g.tgrelid
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT g.tgisinternal AND g.tgenabled IN ('A', 'R')
UNION ALL
SELECT n.nspname::text, c.relname::text, 'rule', r.rulename::text, r.ev_enabled = 'A'
FROM pg_catalog.pg_rewrite AS r
     JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE r.ev_type <> '1' AND r.ev_enabled IN ('A', 'R')
ORDER BY 1, 2, 3, 4
