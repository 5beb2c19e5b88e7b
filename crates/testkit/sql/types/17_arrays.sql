-- Arrays: empty, nested, with odd bounds and NULL elements, with elements that need quotes.
CREATE TABLE arrays (
    id bigint PRIMARY KEY,
    i int[],
    t text[],
    f float8[],
    n numeric[],
    ts timestamptz[],
    by bytea[],
    jb jsonb[],
    c char(3)[],
    b boolean[],
    sized int[3][3]
);
INSERT INTO arrays VALUES
    (1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
    (2, '{{1,2},{3,4}}', '{{a,b},{c,NULL}}', '{NaN,-0,Infinity}', '{1.0,1.00,NaN}',
        '{infinity,2000-01-01 00:00+00,0044-03-15 BC}', '{"\\x00ff",""}',
        '{"{\"a\": [1, \"x\"]}","null",NULL}', '{a,bb,ccc}', '{t,f,NULL}', '{1}'),
    (3, '[-2:0]={1,2,3}', '[0:1][5:6]={{a,b},{c,d}}', '[7:7]={1}', NULL, NULL, NULL, NULL,
        NULL, NULL, '{{1,2,3},{4,5,6},{7,8,9},{10,11,12}}'),
    (4, '{NULL,NULL}', ARRAY['', 'NULL', NULL, 'null', ' ', '"', '\', ',', '{}', E'\n', 'ü'],
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (5, '{{{1,2},{3,4}},{{5,6},{7,8}}}', '{{{x}}}', '{{1,2}}', '{{0.000}}', NULL, NULL, NULL,
        NULL, NULL, NULL),
    (6, (SELECT array_agg(i) FROM generate_series(1, 3000) AS i), NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL);
