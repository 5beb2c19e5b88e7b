-- The copies of a trigger on partitions are internal before 15 and not so from then on; the
-- triggers of foreign keys and deferrable keys are internal everywhere.
SELECT 'trigger', r.name || t.tgname::text, NULL, r.kind, r.name,
       pg_get_triggerdef(t.oid),
       CASE t.tgenabled WHEN 'O' THEN 'yes' WHEN 'D' THEN 'no' WHEN 'R' THEN 'on a replica'
            ELSE 'always' END
  FROM relation r
  JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid
  LEFT JOIN pg_catalog.pg_constraint c ON c.oid = t.tgconstraint
 WHERE NOT t.tgisinternal OR t.tgconstraint = 0 OR c.contype = 't'
