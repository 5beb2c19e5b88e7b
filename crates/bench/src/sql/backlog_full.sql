CREATE TABLE keyless (number bigint NOT NULL, name text, counter bigint NOT NULL);
INSERT INTO keyless SELECT n, md5(n::text), 0 FROM generate_series(1, 2000) AS n;
CREATE INDEX keyless_number ON keyless (number);
ALTER TABLE keyless REPLICA IDENTITY FULL;
