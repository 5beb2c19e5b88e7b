-- What became of one change of structure. $4 is in microseconds since 2000-01-01 UTC.
INSERT INTO trunkline.ddl_log (
    migration, commit_lsn, number, committed_at, role, tag, object, statement, state, note, ran
)
VALUES (
    $1::text, $2::pg_lsn, $3::integer,
    '2000-01-01 00:00:00+00'::timestamptz + $4::double precision * '1 microsecond'::interval,
    $5::text, $6::text, $7::text, $8::text, $9::text,
    nullif($10::text, ''), nullif($11::text, '')
)
ON CONFLICT (migration, commit_lsn, number)
DO UPDATE SET state = excluded.state, note = excluded.note, ran = excluded.ran
