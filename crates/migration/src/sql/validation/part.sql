-- A part of table $3.$4 was compared: it goes on above $5 (the table's end when null).
UPDATE trunkline.validation
   SET state = 'running', above = $5, rows_compared = rows_compared + $6::bigint,
       rows_differing = rows_differing + $7::bigint, rows_busy = rows_busy + $8::bigint,
       source_seconds = source_seconds + $9::double precision,
       position = coalesce($10::pg_lsn, position), note = NULL,
       updated_at = clock_timestamp()
 WHERE migration = $1 AND leg = $2::int AND table_schema = $3 AND table_name = $4
