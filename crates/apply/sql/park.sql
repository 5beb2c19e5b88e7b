-- One change put aside. $4 is in microseconds since 2000-01-01 UTC, as the stream tells it.
INSERT INTO trunkline.parked (
    migration, commit_lsn, xid, committed_at,
    source_schema, source_table, target_schema, target_table,
    operation, key_columns, old_row, new_row, reason, sqlstate
)
VALUES (
    $1::text, $2::pg_lsn, $3::bigint,
    '2000-01-01 00:00:00+00'::timestamptz + $4::double precision * '1 microsecond'::interval,
    $5::text, $6::text, $7::text, $8::text,
    $9::text, $10::text[], $11::jsonb, $12::jsonb, $13::text, $14::text
)
