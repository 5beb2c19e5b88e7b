CREATE TABLE entries (id bigint PRIMARY KEY, part integer NOT NULL, name text NOT NULL);
INSERT INTO entries SELECT part * 100000000::bigint + n, part, md5(n::text)
FROM generate_series(0, {turns} - 1) AS part, generate_series(1, {rows}) AS n;
CREATE INDEX entries_part ON entries (part);
