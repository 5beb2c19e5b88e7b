SELECT 'rule', r.name || w.rulename::text, NULL, r.kind, r.name,
       pg_get_ruledef(w.oid),
       CASE w.ev_enabled WHEN 'O' THEN 'yes' WHEN 'D' THEN 'no' WHEN 'R' THEN 'on a replica'
            ELSE 'always' END
  FROM relation r
  JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
 WHERE w.rulename <> '_RETURN'
