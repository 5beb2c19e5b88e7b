-- What the stream sends of an old row: all of it, an index's columns, or nothing.
CREATE TABLE identity_full (a int, b text, n numeric, f float8, d text);
ALTER TABLE identity_full REPLICA IDENTITY FULL;
INSERT INTO identity_full VALUES
    (1, 'x', 1.0, '-0', NULL), (1, 'x', 1.00, '0', NULL), (1, 'x', 1.0, '-0', NULL),
    (NULL, NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL), (2, 'NaN', 'NaN', 'NaN', 'd');

CREATE TABLE identity_full_json (j json, x xml, p point, v int);
ALTER TABLE identity_full_json REPLICA IDENTITY FULL;
INSERT INTO identity_full_json VALUES
    ('{"a":1}', '<a/>', '(1,2)', 1), ('{"a": 1}', '<a/>', '(1,2)', 2), (NULL, NULL, NULL, 3),
    ('{"a":1}', '<a/>', '(1,2)', 1);

CREATE TABLE identity_full_toast (v int, body text);
ALTER TABLE identity_full_toast ALTER body SET STORAGE EXTERNAL;
ALTER TABLE identity_full_toast REPLICA IDENTITY FULL;
INSERT INTO identity_full_toast SELECT i, repeat(md5(i::text), 300) FROM generate_series(1, 5) AS i;

CREATE TABLE identity_index (code text NOT NULL, part int NOT NULL, v text);
CREATE UNIQUE INDEX identity_index_key ON identity_index (part, code);
ALTER TABLE identity_index REPLICA IDENTITY USING INDEX identity_index_key;
INSERT INTO identity_index SELECT 'c' || i, i % 3, 'v' FROM generate_series(1, 20) AS i;

CREATE TABLE identity_nothing (id int PRIMARY KEY, v text);
ALTER TABLE identity_nothing REPLICA IDENTITY NOTHING;
INSERT INTO identity_nothing VALUES (1, 'insert only'), (2, 'truncate too');

CREATE TABLE keyless (v int, t text);
INSERT INTO keyless SELECT i % 3, 'same' FROM generate_series(1, 30) AS i;
CREATE TABLE keyless_empty (v int);
