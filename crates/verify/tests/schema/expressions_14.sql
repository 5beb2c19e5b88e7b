-- What 14 added: bodies that are stored as trees.
CREATE FUNCTION expr.body(n int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC
    INSERT INTO expr.gen (i, v) SELECT b.i, b.v FROM expr.base b WHERE b.v IN ('a', 'b');
    SELECT b.id FROM expr.base b WHERE b.i = n AND b.v IN ('a', 'b');
END;
CREATE FUNCTION expr.returned(v varchar) RETURNS boolean LANGUAGE sql RETURN v IN ('a', 'b') AND trim(v) <> '';
CREATE STATISTICS expr.gen_stat ON (i + 1), v FROM expr.gen;
CREATE VIEW expr.searched AS WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t)
    SEARCH DEPTH FIRST BY n SET o CYCLE n SET c USING p SELECT n, extract(hour FROM now()) FROM t;
