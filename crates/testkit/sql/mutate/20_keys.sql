-- Keys that change, unique values that change hands, rows deleted and inserted again.
--+ transaction
UPDATE matrix.texts SET id = id + 1000000 WHERE id = 1;
UPDATE matrix.texts SET id = id - 1000000 WHERE id = 1000001;
--+ transaction
UPDATE matrix.typed_key SET n = n + 1, p = p + 1 WHERE n <> 'NaN';
UPDATE matrix.typed_key SET m = 'ünï' WHERE n = 'NaN';
--+ transaction
-- The deferred constraint lets two rows swap.
UPDATE matrix.swaps AS t SET place = o.place FROM matrix.swaps AS o
WHERE (t.id, o.id) IN ((1, 2), (2, 1));
UPDATE matrix.swaps AS t SET place = o.place, v = 'round {round}' FROM matrix.swaps AS o
WHERE (t.id, o.id) IN ((3, 4), (4, 5), (5, 3));
-- One at a time, with two rows of the same place in between.
UPDATE matrix.swaps SET place = (SELECT place FROM matrix.swaps WHERE id = 7) WHERE id = 6;
UPDATE matrix.swaps SET place = 1000 + {round} WHERE id = 7;
--+ transaction
-- A primary key that may be checked later: everyone moves up by one, and back round.
SET CONSTRAINTS matrix.swaps_pkey DEFERRED;
UPDATE matrix.swaps SET id = CASE WHEN id = 10 THEN 1 ELSE id + 1 END;
--+ transaction
-- A unique value that is not deferrable goes from row to row by way of a third value.
UPDATE matrix.swaps SET code = 'free ' || code WHERE id = 1;
UPDATE matrix.swaps SET code = (SELECT substr(code, 6) FROM matrix.swaps WHERE id = 1) WHERE id = 2;
UPDATE matrix.swaps SET code = 'code taken {round} ' || id WHERE id IN (1, 2);
--+ transaction
DELETE FROM matrix.unique_keys WHERE id = 1;
INSERT INTO matrix.unique_keys VALUES (1000 + {round}, 'a', 'x', true);
UPDATE matrix.unique_keys SET a = 'gone ' || id, active = false WHERE id = 1000 + {round};
INSERT INTO matrix.unique_keys VALUES (1, 'A', 'x', true);
--+ transaction
-- The same row: gone, back, changed, gone, back.
DELETE FROM matrix.numbers WHERE id = 4;
INSERT INTO matrix.numbers (id, n) VALUES (4, 0.000);
UPDATE matrix.numbers SET n = -1.50 WHERE id = 4;
DELETE FROM matrix.numbers WHERE id = 4;
INSERT INTO matrix.numbers (id, n, f8) VALUES (4, 0.0, '-0');
--+ transaction
UPDATE matrix.parts SET at = at + 4000 WHERE id % 10 = {round} % 10;
UPDATE matrix.parts SET region = CASE region WHEN 'eu' THEN 'us' ELSE 'eu' END WHERE id % 7 = 0;
UPDATE matrix.hashed SET id = id || 'x' WHERE v % 5 = {round} % 5;
UPDATE ONLY matrix.parent SET v = 'only the parent {round}';
UPDATE matrix.parent SET v = v || '+' WHERE id = 1;
--+ transaction
UPDATE matrix.hens SET egg_id = CASE WHEN egg_id = 20 THEN 1 ELSE egg_id + 1 END;
INSERT INTO matrix.hens VALUES (100 + {round}, 100 + {round});
INSERT INTO matrix.eggs VALUES (100 + {round}, 100 + {round});
DELETE FROM matrix.tree WHERE id = 32 + {round} % 32;
UPDATE "Odd ""Schema"".x"."Ta.ble ""with"" 'quotes' \ and $1 %s"
SET "Id" = "Id" + 1000, "select" = {round}, "new
line" = E'\n' WHERE "Id" = (SELECT max("Id") FROM "Odd ""Schema"".x"."Ta.ble ""with"" 'quotes' \ and $1 %s");
UPDATE "Odd ""Schema"".x"."table" SET "group" = 'round {round}';
INSERT INTO matrix.identities (v) VALUES ('round {round}');
--+ since 15
--+ transaction
UPDATE matrix.unique_nulls SET a = NULL WHERE id = 99;
DELETE FROM matrix.unique_nulls WHERE a IS NULL;
INSERT INTO matrix.unique_nulls VALUES (100 + {round}, NULL);
