-- Columns, indexes, constraints, triggers, rules, policies and statistics of user tables.
WITH own AS (
    SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
      AND c.relpersistence <> 't'
)
SELECT format('column %s.%I: %s, not null %s, default %s, identity %s, generated %s, '
              'storage %s, options %s, acl %s',
              a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
              pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated,
              a.attstorage, a.attoptions, a.attacl)
FROM pg_attribute AS a
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid IN (SELECT oid FROM own) AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT format('index %s: %s, valid %s, identity %s, clustered %s', indexrelid::regclass,
              pg_get_indexdef(indexrelid), indisvalid, indisreplident, indisclustered)
FROM pg_index WHERE indrelid IN (SELECT oid FROM own)
UNION ALL
SELECT format('constraint %I on %s: %s, validated %s', conname, conrelid::regclass,
              pg_get_constraintdef(oid), convalidated)
FROM pg_constraint WHERE conrelid IN (SELECT oid FROM own)
UNION ALL
SELECT format('trigger %s on %s: %s, enabled %s',
              CASE WHEN t.tgisinternal THEN 'of ' || coalesce(c.conname, '') ELSE t.tgname END,
              t.tgrelid::regclass, t.tgfoid::regproc, t.tgenabled)
FROM pg_trigger AS t LEFT JOIN pg_constraint AS c ON c.oid = t.tgconstraint
WHERE t.tgrelid IN (SELECT oid FROM own)
UNION ALL
SELECT format('rule %I on %s: %s, enabled %s', rulename, ev_class::regclass,
              pg_get_ruledef(oid), ev_enabled)
FROM pg_rewrite WHERE rulename <> '_RETURN' AND ev_class IN (SELECT oid FROM own)
UNION ALL
SELECT format('policy %I on %s: %s', polname, polrelid::regclass, polcmd) FROM pg_policy
UNION ALL
SELECT format('statistics %s.%I', stxnamespace::regnamespace, stxname) FROM pg_statistic_ext
