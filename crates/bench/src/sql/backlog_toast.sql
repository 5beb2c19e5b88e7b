CREATE TABLE papers (id bigint PRIMARY KEY, counter bigint NOT NULL, body text NOT NULL);
ALTER TABLE papers ALTER body SET STORAGE EXTERNAL;
INSERT INTO papers
SELECT n, 0, (SELECT string_agg(md5((n * 1000 + m)::text), '') FROM generate_series(1, 640) AS m)
FROM generate_series(1, 2000) AS n;
