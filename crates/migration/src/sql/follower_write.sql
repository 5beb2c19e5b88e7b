INSERT INTO trunkline.follower AS f (migration, leg, mode, confirmed_lsn, rows_applied,
                                     apply_bytes_per_second, source_bytes_per_second)
VALUES ($1, $2::integer, $3, $4::pg_lsn, $5::bigint, $6::double precision, $7::double precision)
    ON CONFLICT (migration, leg) DO UPDATE
   SET mode = excluded.mode,
       confirmed_lsn = greatest(f.confirmed_lsn, excluded.confirmed_lsn),
       rows_applied = excluded.rows_applied,
       apply_bytes_per_second = excluded.apply_bytes_per_second,
       source_bytes_per_second = excluded.source_bytes_per_second,
       updated_at = pg_catalog.clock_timestamp()
