-- $5 rows of table $3.$4 were compared again: $8 that were recorded as different are not any
-- more, or are among the $9 that are. A table whose last difference went is equal, unless there
-- are rows in it that were written to all the time, of which nothing is known.
UPDATE trunkline.validation v
   SET rows_rechecked = rows_rechecked + $5::bigint,
       source_seconds = source_seconds + $6::double precision,
       position = coalesce($7::pg_lsn, position),
       rows_differing = greatest(rows_differing - $8::bigint + $9::bigint, 0),
       state = CASE WHEN state NOT IN ('matched', 'differing') THEN state
                    WHEN rows_differing - $8::bigint + $9::bigint > 0 THEN 'differing'
                    WHEN rows_busy > 0 THEN 'busy'
                    ELSE 'matched' END,
       updated_at = clock_timestamp()
 WHERE migration = $1 AND leg = $2::int AND table_schema = $3 AND table_name = $4
