INSERT INTO trunkline.follower AS f (migration, mode, confirmed_lsn, rows_applied,
                                     apply_bytes_per_second, source_bytes_per_second)
VALUES ($1, $2, $3::pg_lsn, $4::bigint, $5::double precision, $6::double precision)
    ON CONFLICT (migration) DO UPDATE
   SET mode = excluded.mode,
       confirmed_lsn = greatest(f.confirmed_lsn, excluded.confirmed_lsn),
       rows_applied = excluded.rows_applied,
       apply_bytes_per_second = excluded.apply_bytes_per_second,
       source_bytes_per_second = excluded.source_bytes_per_second,
       updated_at = pg_catalog.clock_timestamp()
