DO $$
BEGIN
    FOR n IN {from} .. {to} LOOP
        EXECUTE format('CREATE TABLE small_%s (id integer PRIMARY KEY, name text)', n);
        EXECUTE format('INSERT INTO small_%s SELECT m, md5(m::text) FROM generate_series(1, 5) AS m', n);
    END LOOP;
END
$$;
