-- Deferrable and exclusion constraints, foreign keys in a cycle and to oneself, partial and
-- expression indexes, unique keys beside the primary one.
CREATE TABLE swaps (
    id int PRIMARY KEY DEFERRABLE INITIALLY IMMEDIATE,
    place int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED,
    code text NOT NULL UNIQUE,
    v text
);
ALTER TABLE swaps REPLICA IDENTITY FULL;
INSERT INTO swaps SELECT i, i * 10, 'code ' || i, 'v' FROM generate_series(1, 10) AS i;

CREATE TABLE bookings (
    id int PRIMARY KEY,
    during daterange NOT NULL,
    EXCLUDE USING gist (during WITH &&)
);
INSERT INTO bookings VALUES (1, '[2024-01-01,2024-01-05)'), (2, '[2024-01-05,2024-01-09)');

CREATE TABLE hens (id int PRIMARY KEY, egg_id int NOT NULL);
CREATE TABLE eggs (id int PRIMARY KEY, hen_id int NOT NULL REFERENCES hens);
INSERT INTO hens SELECT i, i FROM generate_series(1, 20) AS i;
INSERT INTO eggs SELECT i, i FROM generate_series(1, 20) AS i;
ALTER TABLE hens ADD CONSTRAINT hens_egg FOREIGN KEY (egg_id) REFERENCES eggs
    DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE tree (id int PRIMARY KEY, parent_id int REFERENCES tree ON DELETE CASCADE);
INSERT INTO tree SELECT i, nullif(i / 2, 0) FROM generate_series(1, 63) AS i;
CREATE TABLE leaves (id int PRIMARY KEY, tree_id int REFERENCES tree ON DELETE SET NULL);
INSERT INTO leaves SELECT i, i FROM generate_series(1, 63) AS i;

CREATE TABLE unique_keys (
    id int PRIMARY KEY,
    a text,
    b text,
    active boolean NOT NULL,
    CHECK (a IS NOT NULL OR b IS NOT NULL) NOT VALID
);
CREATE UNIQUE INDEX unique_keys_lower ON unique_keys (lower(a));
CREATE UNIQUE INDEX unique_keys_active ON unique_keys (b) WHERE active;
INSERT INTO unique_keys VALUES (1, 'A', 'x', true), (2, 'b', 'x', false), (3, NULL, 'y', true), (4, NULL, 'x', false);
--+ since 15
CREATE TABLE unique_nulls (id int PRIMARY KEY, a int UNIQUE NULLS NOT DISTINCT);
INSERT INTO unique_nulls VALUES (1, 1), (2, NULL);
