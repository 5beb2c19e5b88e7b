-- Long values that stay are not sent; those that change are, also beside ones that stay.
--+ transaction
UPDATE matrix.large_values SET version = version + 1;
--+ transaction
UPDATE matrix.large_values SET version = version + 1, extended = extended || 'changed {round}'
WHERE id % 2 = 0;
--+ transaction
-- Twice in one transaction: first a long value, then only a short one.
UPDATE matrix.large_values SET external = reverse(external) WHERE id = 1;
UPDATE matrix.large_values SET version = version + 1 WHERE id = 1;
UPDATE matrix.large_values SET id = 1001 WHERE id = 1;
UPDATE matrix.large_values SET id = 1 WHERE id = 1001;
UPDATE matrix.large_values SET jb = jsonb_set(jb, '{i}', '{round}') WHERE id = 2;
--+ transaction
INSERT INTO matrix.large_values (id, version, extended) SELECT 2000 + {round}, 0, extended
FROM matrix.large_values WHERE id = 3;
UPDATE matrix.large_values SET version = 1 WHERE id = 2000 + {round};
