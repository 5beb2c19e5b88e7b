-- Some rows of table $3.$4 were compared again. A table whose last difference went is equal.
UPDATE trunkline.validation v
   SET rows_rechecked = rows_rechecked + $5::bigint,
       source_seconds = source_seconds + $6::double precision,
       position = coalesce($7::pg_lsn, position),
       rows_differing = f.open,
       state = CASE WHEN state IN ('matched', 'differing')
                    THEN CASE WHEN f.open > 0 THEN 'differing' ELSE 'matched' END
                    ELSE state END,
       updated_at = clock_timestamp()
  FROM (SELECT count(*) AS open FROM trunkline.validation_failures
         WHERE migration = $1 AND leg = $2::int AND table_schema = $3 AND table_name = $4) f
 WHERE migration = $1 AND leg = $2::int AND table_schema = $3 AND table_name = $4
