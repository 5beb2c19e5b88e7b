-- Every sequence that is not an extension's: its parameters, the table that owns it, and the
-- tables that draw from it, each a text of schemas and names with its partition ancestors.
-- A sequence belongs to one column at the most. With LIMIT that one is looked up: joined, on a
-- server that has no statistics of its catalog yet, all are held against all.
SELECT n.nspname::text,
       c.relname::text,
       format_type(s.seqtypid, NULL),
       s.seqstart,
       s.seqincrement,
       s.seqmin,
       s.seqmax,
       s.seqcache,
       s.seqcycle,
       tn.nspname::text,
       t.relname::text,
       ARRAY(
        SELECT CASE WHEN uc.relispartition
                    THEN (SELECT string_agg(ln.nspname || E'\n' || lc.relname, E'\n' ORDER BY line.place)
                            FROM unnest(ARRAY[u.oid] || ARRAY(SELECT a.relid::oid FROM pg_partition_ancestors(u.oid) a
                                                               WHERE a.relid <> u.oid))
                                 WITH ORDINALITY AS line(oid, place)
                            JOIN pg_class lc ON lc.oid = line.oid
                            JOIN pg_namespace ln ON ln.oid = lc.relnamespace)
                    ELSE un.nspname || E'\n' || uc.relname END
          FROM (SELECT t.oid WHERE t.oid IS NOT NULL
                 UNION
                SELECT ad.adrelid
                  FROM pg_depend du
                  JOIN pg_attrdef ad ON ad.oid = du.objid
                 WHERE du.classid = 'pg_attrdef'::regclass
                   AND du.refclassid = 'pg_class'::regclass AND du.refobjid = c.oid) u
          JOIN pg_class uc ON uc.oid = u.oid
          JOIN pg_namespace un ON un.oid = uc.relnamespace
       ),
       (SELECT oa.attname::text FROM pg_attribute oa
         WHERE oa.attrelid = d.refobjid AND oa.attnum = d.refobjsubid)
  FROM pg_sequence s
  JOIN pg_class c ON c.oid = s.seqrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (
        SELECT o.refobjid, o.refobjsubid
          FROM pg_depend o
         WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.objsubid = 0
           AND o.refclassid = 'pg_class'::regclass AND o.refobjsubid > 0 AND o.deptype IN ('a', 'i')
         LIMIT 1) d ON true
  LEFT JOIN pg_class t ON t.oid = d.refobjid
  LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
 WHERE c.relpersistence <> 't'
   AND n.nspname !~ '^pg_'
   AND n.nspname NOT IN ('information_schema', 'trunkline')
   AND NOT EXISTS (
        SELECT FROM pg_depend e
         WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
 ORDER BY n.nspname, c.relname
