-- A thousand columns; most are NULL, so that a row fits its page.
DO $do$
BEGIN
    EXECUTE (
        SELECT 'CREATE TABLE matrix.wide (id int PRIMARY KEY, ' || string_agg(
            format('c%s %s', i, (ARRAY['int', 'text', 'boolean', 'numeric', 'bigint'])[i % 5 + 1]),
            ', ' ORDER BY i) || ')'
        FROM generate_series(1, 999) AS i);
    INSERT INTO matrix.wide (id, c1, c2, c995, c996, c999)
    VALUES (1, 'one', true, 5, 'last', 1), (2, '', NULL, NULL, NULL, NULL), (3, NULL, false, 1, 'x', 9);
END $do$;
