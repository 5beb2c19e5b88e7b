-- Long values in each storage, compressible and not; {toast_bytes} is their size.
CREATE TABLE large_values (
    id int PRIMARY KEY,
    version int NOT NULL,
    extended text,
    external text,
    main text,
    by bytea,
    jb jsonb,
    arr text[]
);
ALTER TABLE large_values ALTER external SET STORAGE EXTERNAL, ALTER main SET STORAGE MAIN;
INSERT INTO large_values
SELECT i, 1, long.text, long.text, left(long.text, 4000), decode(long.text, 'hex'),
       jsonb_build_object('long', long.text, 'i', i), ARRAY[long.text, NULL, 'short']
FROM generate_series(1, 6) AS i,
     LATERAL (SELECT left(string_agg(md5((i * 1000000 + j)::text), ''),
                          ({toast_bytes} / 2) * 2) AS text
              FROM generate_series(1, {toast_bytes} / 32 + 1) AS j) AS long;
INSERT INTO large_values
VALUES (7, 1, repeat('compressible ', {toast_bytes} / 13 + 1), repeat('ü', {toast_bytes} / 2), NULL,
        decode(repeat('00', {toast_bytes}), 'hex'), NULL, NULL);
