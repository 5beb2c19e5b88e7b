(SELECT jsonb_agg(jsonb_build_object(
            'name', a.attname,
            'type', format_type(a.atttypid, a.atttypmod),
            'collation', CASE WHEN a.attcollation <> y.typcollation
                              THEN format('%I.%I', cn.nspname, co.collname) END,
            'not_null', a.attnotnull,
            'identity', a.attidentity,
            'generated', a.attgenerated,
            'expression', pg_get_expr(d.adbin, d.adrelid),
            -- What ADD COLUMN gave to the rows that were there; on the leaves of a
            -- partitioned table.
            'given', (SELECT (m.attmissingval::text::text[])[1]
                        FROM pg_attribute AS m
                       WHERE m.attname = a.attname AND m.atthasmissing
                         AND m.attrelid IN (SELECT a.attrelid UNION ALL
                                            SELECT relid FROM pg_partition_tree(a.attrelid))
                       LIMIT 1)
        ) ORDER BY a.attnum)
   FROM pg_attribute AS a
   JOIN pg_type AS y ON y.oid = a.atttypid
   LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   LEFT JOIN pg_collation AS co ON co.oid = a.attcollation
   LEFT JOIN pg_namespace AS cn ON cn.oid = co.collnamespace
  WHERE a.attrelid = {relation} AND a.attnum > 0 AND NOT a.attisdropped)
