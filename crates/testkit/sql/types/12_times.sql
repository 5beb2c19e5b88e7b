-- Dates before Christ, infinities, the ends of each range, 24:00, intervals with mixed signs.
CREATE TABLE times (
    id bigint PRIMARY KEY,
    d date,
    t time,
    t3 time(3),
    tz timetz,
    ts timestamp,
    ts0 timestamp(0),
    tstz timestamptz,
    iv interval,
    iv_days interval day to second(2)
);
INSERT INTO times VALUES
    (1, '4713-01-01 BC', '00:00:00', '00:00:00', '00:00:00+15:59', '4713-01-01 00:00:00 BC',
        '2000-01-01', '4713-01-01 00:00:00+00 BC', '1 mon -2 days +03:04:05.678901', '1 day 02:03:04.567'),
    (2, '5874897-12-31', '24:00:00', '23:59:59.999', '24:00:00-15:59',
        '294276-12-31 23:59:59.999999', '1999-12-31 23:59:59.7', '294276-12-31 23:59:59.999999+00',
        '-178000000 years', '-1 day +00:00:01'),
    (3, 'infinity', '23:59:59.999999', NULL, '12:00:00.000001+00', 'infinity', 'infinity', 'infinity',
        '178000000 years', NULL),
    (4, '-infinity', '00:00:00.000001', NULL, '12:00+05:45', '-infinity', '-infinity', '-infinity',
        '0', NULL),
    (5, '0044-03-15 BC', '12:34:56', '12:34:56.7', '12:34:56+00:00:30', '0001-01-01 00:00:00',
        '1970-01-01', '0001-12-31 23:59:59.999999+00 BC', '-1 mon +2 days -03:04:05.678901', '0'),
    (6, '2000-02-29', '01:02:03', '01:02:03', '01:02:03-12', '2000-02-29 12:00:00.123456',
        '2000-02-29', '2024-03-31 02:30:00+02', '1 year 2 mons 3 days 04:05:06.000007', '1:00'),
    (7, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '-00:00:00.000001', '-0:01'),
    (8, '1582-10-10', '06:00', '06:00', '06:00+14', '1582-10-10', '1582-10-10',
        '1883-11-18 12:03:58-04:56:02', '30 days 24:00:00', '24:00');
--+ since 17
INSERT INTO times (id, iv) VALUES (9, 'infinity'), (10, '-infinity');
