-- Partitions by range, list and hash, over several levels, attached with other column orders;
-- and inheritance, where a parent has rows of its own.
CREATE TABLE parts (id bigint, region text, at date, v text, PRIMARY KEY (id, region, at))
    PARTITION BY RANGE (at);
CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('2000-01-01');
CREATE TABLE parts_new PARTITION OF parts FOR VALUES FROM ('2000-01-01') TO ('2030-01-01')
    PARTITION BY LIST (region);
CREATE TABLE parts_new_eu PARTITION OF parts_new FOR VALUES IN ('eu', 'uk')
    PARTITION BY HASH (id);
CREATE TABLE parts_new_eu_0 PARTITION OF parts_new_eu FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_new_eu_1 PARTITION OF parts_new_eu FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE parts_new_us (v text, gone int, at date NOT NULL, region text NOT NULL, id bigint NOT NULL);
ALTER TABLE parts_new_us DROP COLUMN gone;
ALTER TABLE parts_new ATTACH PARTITION parts_new_us FOR VALUES IN ('us');
CREATE TABLE parts_new_rest PARTITION OF parts_new DEFAULT;
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
INSERT INTO parts
SELECT i, (ARRAY['eu', 'uk', 'us', 'asia'])[i % 4 + 1], date '1995-01-01' + i * 100, 'row ' || i
FROM generate_series(1, 200) AS i;

CREATE TABLE hashed (id text PRIMARY KEY, v int) PARTITION BY HASH (id);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE hashed_2 PARTITION OF hashed FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO hashed SELECT 'k' || i, i FROM generate_series(1, 50) AS i;

CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (extra text, PRIMARY KEY (id)) INHERITS (parent);
CREATE TABLE grandchild (more int, PRIMARY KEY (id)) INHERITS (child);
INSERT INTO parent VALUES (1, 'parent');
INSERT INTO child VALUES (1, 'child', 'same key as the parent''s row');
INSERT INTO grandchild VALUES (2, 'grandchild', 'e', 3);
