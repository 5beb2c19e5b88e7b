DO $$
BEGIN
    EXECUTE 'CREATE TABLE hot (id bigint PRIMARY KEY, '
        || (SELECT string_agg(format('c%s text NOT NULL', n), ', ') FROM generate_series(1, 99) AS n) || ')';
    EXECUTE 'INSERT INTO hot SELECT m, '
        || (SELECT string_agg(format('md5((m * %s)::text)', n), ', ') FROM generate_series(1, 99) AS n)
        || ' FROM generate_series(1, 1000) AS m';
END
$$;
