-- TRUNCATE in its forms, savepoints, rollbacks, and a transaction with nothing for anybody.
--+ transaction
TRUNCATE matrix.keyless_empty, matrix.upper;
INSERT INTO matrix.upper VALUES ({round});
--+ transaction
INSERT INTO matrix.keyless_empty VALUES (1), (2);
TRUNCATE matrix.keyless_empty;
INSERT INTO matrix.keyless_empty VALUES (3);
--+ transaction
TRUNCATE matrix.hens, matrix.eggs RESTART IDENTITY CASCADE;
INSERT INTO matrix.hens SELECT i, i FROM generate_series(1, 20) AS i;
INSERT INTO matrix.eggs SELECT i, i FROM generate_series(1, 20) AS i;
--+ transaction
TRUNCATE matrix.tree CASCADE;
INSERT INTO matrix.tree SELECT i, nullif(i / 2, 0) FROM generate_series(1, 63) AS i;
INSERT INTO matrix.leaves SELECT i, i FROM generate_series(1, 63) AS i;
--+ transaction
TRUNCATE ONLY matrix.parent;
INSERT INTO matrix.parent VALUES (1, 'parent again');
TRUNCATE matrix.hashed;
INSERT INTO matrix.hashed SELECT 'k' || i, i FROM generate_series(1, 50) AS i;
--+ transaction
INSERT INTO matrix.numbers (id) VALUES (5000 + {round});
SAVEPOINT a;
INSERT INTO matrix.numbers (id) VALUES (6000 + {round});
UPDATE matrix.texts SET t = 'never seen';
SAVEPOINT b;
DELETE FROM matrix.times;
ROLLBACK TO a;
UPDATE matrix.numbers SET i4 = {round} WHERE id = 5000 + {round};
SAVEPOINT c;
DELETE FROM matrix.numbers WHERE id = 5000 + {round} - 1;
RELEASE c;
--+ transaction
DELETE FROM matrix.numbers;
TRUNCATE matrix.texts;
ROLLBACK;
BEGIN;
--+ transaction
SELECT count(*) FROM matrix.numbers;
--+ transaction
-- Many rows, so that the transaction is streamed before it commits where that is set low.
INSERT INTO matrix.parts
SELECT {round} * 10000 + i, (ARRAY['eu', 'us', 'asia'])[i % 3 + 1], '2010-01-01', repeat('x', 100)
FROM generate_series(1, 2000) AS i;
UPDATE matrix.parts SET v = 'y' || v WHERE id > {round} * 10000 AND id % 2 = 0;
DELETE FROM matrix.parts WHERE id > {round} * 10000 + 500;
UPDATE matrix.triggered SET v = v || '.';
