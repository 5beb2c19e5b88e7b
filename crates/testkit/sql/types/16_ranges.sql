-- Ranges: empty, unbounded, of one value; bounds that are kept as written, or normalised.
CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TABLE ranges (
    id bigint PRIMARY KEY,
    i4 int4range,
    i8 int8range,
    n numrange,
    ts tsrange,
    tstz tstzrange,
    d daterange,
    own float_range
);
INSERT INTO ranges VALUES
    (1, 'empty', 'empty', 'empty', 'empty', 'empty', 'empty', 'empty'),
    (2, '(,)', '(,)', '(,)', '(,)', '(,)', '(,)', '(,)'),
    (3, '[1,5]', '[-9223372036854775808,5)', '[1.0,1.00]', '[infinity,infinity]',
        '(-infinity,2000-01-01 00:00+00]', '[2000-01-01,infinity]', '[-0,0]'),
    (4, '(1,5)', '[5,]', '(1.000,2)', '["2000-01-01 12:00:00.000001",)', '[,2000-01-01 00:00+00)',
        '[0044-03-15 BC,2000-01-01)', '(NaN,)'),
    (5, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (6, '[7,8)', '[7,8)', '[NaN,NaN]', '[2000-01-01,2000-01-01]', '[2000-01-01,2000-01-02)',
        '[2000-01-01,2000-01-02)', '[1e-320,1e300]');
CREATE TABLE range_arrays (id int PRIMARY KEY, a numrange[], o float_range[]);
INSERT INTO range_arrays VALUES (1, '{empty,"[1.0,2.00)",NULL}', '{"[1,2]","(,)"}'), (2, '{}', NULL);
--+ since 14
CREATE TABLE multiranges (
    id bigint PRIMARY KEY, i4 int4multirange, n nummultirange, d datemultirange,
    tstz tstzmultirange, own float_multirange
);
INSERT INTO multiranges VALUES
    (1, '{}', '{}', '{}', '{}', '{}'),
    (2, '{[1,2],[5,9)}', '{[1.0,2.00),(3,)}', '{(,2000-01-01),[2001-01-01,infinity]}',
        '{[2000-01-01,2000-01-02),[2000-02-01,)}', '{[1,2],(3,4)}'),
    (3, '{(,)}', '{(,)}', NULL, NULL, NULL);
