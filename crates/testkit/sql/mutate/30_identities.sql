-- Rows found by a full old row, by an index, or only ever inserted.
--+ transaction
UPDATE matrix.identity_full SET d = 'one of the equal ones {round}'
WHERE ctid = (SELECT min(ctid) FROM matrix.identity_full WHERE a = 1);
DELETE FROM matrix.identity_full
WHERE ctid = (SELECT min(ctid) FROM matrix.identity_full WHERE a IS NULL);
INSERT INTO matrix.identity_full VALUES (NULL, NULL, NULL, NULL, NULL), (1, 'x', 1.000, '-0', NULL);
--+ transaction
UPDATE matrix.identity_full_json SET v = v + 10
WHERE ctid = (SELECT min(ctid) FROM matrix.identity_full_json WHERE v % 10 = 1);
INSERT INTO matrix.identity_full_json VALUES ('{"a":1}', '<a/>', '(1,2)', 1);
DELETE FROM matrix.identity_full_json WHERE v > 30;
--+ transaction
UPDATE matrix.identity_full_toast SET v = v + 100 WHERE v % 5 = {round} % 5;
--+ transaction
UPDATE matrix.identity_index SET v = 'round {round}' WHERE part = {round} % 3;
UPDATE matrix.identity_index SET code = code || '.' WHERE code LIKE 'c1%';
DELETE FROM matrix.identity_index WHERE code = 'c2';
INSERT INTO matrix.identity_index VALUES ('c2', 2, 'again');
--+ transaction
INSERT INTO matrix.identity_nothing VALUES (100 + {round}, 'inserted');
INSERT INTO matrix.keyless SELECT i, 'round {round}' FROM generate_series(1, 3) AS i;
