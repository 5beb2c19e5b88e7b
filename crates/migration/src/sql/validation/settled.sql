-- What a comparison at one position ($3) found of tables: their schemas ($4), names ($5), states
-- ($6), rows ($7) and rows that differ ($8).
UPDATE trunkline.validation v
   SET state = found.state,
       rows_compared = found.rows,
       rows_differing = found.differing,
       rows_busy = 0,
       position = $3::pg_lsn,
       above = NULL,
       note = NULL,
       rounds = rounds + 1,
       updated_at = clock_timestamp()
  FROM unnest($4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
       AS found(table_schema, table_name, state, rows, differing)
 WHERE v.migration = $1
   AND v.leg = $2::int
   AND v.table_schema = found.table_schema
   AND v.table_name = found.table_name
