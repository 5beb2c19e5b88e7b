-- Numbers at their edges, NaN, infinities, signed zeros, subnormals, scales that must survive.
CREATE TABLE numbers (
    id bigint PRIMARY KEY,
    b boolean,
    i2 smallint,
    i4 integer,
    i8 bigint,
    f4 real,
    f8 double precision,
    n numeric,
    n_scaled numeric(30, 10),
    m money,
    o oid
);
INSERT INTO numbers VALUES
    (1, true, 32767, 2147483647, 9223372036854775807, 'NaN', 'NaN', 'NaN', 1.0, '92233720368547758.07', 4294967295),
    (2, false, -32768, -2147483648, -9223372036854775808, 'Infinity', 'Infinity', 1.0, -1.0, '-92233720368547758.08', 0),
    (3, NULL, NULL, NULL, NULL, '-Infinity', '-Infinity', 1.00, NULL, NULL, NULL),
    (4, true, 0, 0, 0, '-0', '-0', 0.000, 0, '0', 1),
    (5, false, 1, 1, 1, '1.4e-45', '2e-308', 1e1000, 99999999999999999999.9999999999, '0.01', 2),
    (6, true, -1, -1, -1, '3.4028235e38', '5e-324', -1e-1000, 0.0000000001, '-0.01', 3),
    (7, false, 10, 10, 10, 0.1, 1.7976931348623157e308, 12345678901234567890.12345678901234567890, 1.5, '1234.56', 4),
    (8, true, 7, 7, 7, 1e-10, 0.30000000000000004, 1e130000, 2.5, '1', 5),
    (9, NULL, 8, 8, 8, 16777217, 9007199254740993, 10000, 10000, '100', 6);
--+ since 14
INSERT INTO numbers (id, n) VALUES (10, 'Infinity'), (11, '-Infinity');
--+ since 15
CREATE TABLE numbers_scaled_oddly (
    id int PRIMARY KEY,
    rounded numeric(3, -3),
    small numeric(3, 5)
);
INSERT INTO numbers_scaled_oddly VALUES (1, 123456, 0.00123), (2, -999000, 0);
