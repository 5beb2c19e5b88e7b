CREATE TABLE measurements (
    id bigint PRIMARY KEY,
    device integer NOT NULL,
    at timestamptz NOT NULL,
    value double precision NOT NULL,
    remark text NOT NULL
);
INSERT INTO measurements
SELECT n, n % 10000, timestamptz '2026-01-01 00:00:00+00' + n * interval '1 second', sqrt(n),
       repeat(md5(n::text), 5)
FROM generate_series(1, {rows}) AS n;
