-- What validation knows of each table of migration $1, leg $2.
SELECT v.table_schema, v.table_name, v.state, v.rows_total, v.rows_compared, v.rows_rechecked,
       v.rows_differing, v.rows_busy, v.source_seconds, v.position, v.note, v.rounds,
       extract(epoch FROM v.began_at)::double precision,
       extract(epoch FROM v.updated_at)::double precision, v.above
  FROM trunkline.validation v
 WHERE v.migration = $1 AND v.leg = $2::int
 ORDER BY v.table_schema, v.table_name
