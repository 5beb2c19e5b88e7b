-- What the type matrix has only in keys, or not at all: text that a collation or a type takes
-- for equal while it is not, on columns that may change.
CREATE TABLE public.nearly_equal (
    id int PRIMARY KEY,
    padded bpchar,
    note varchar,
    big bytea,
    plain json,
    parsed jsonb,
    zoned timetz
);
INSERT INTO public.nearly_equal
SELECT i, 'padded ' || i, 'Note ' || i, decode(repeat(md5(i::text), 200), 'hex'),
       format('{"b": %s, "a": [1, {"c": "x"}]}', i)::json,
       format('{"b": %s, "a": [1.0, {"c": "x"}]}', i)::jsonb,
       timetz '12:00+01' + i * interval '1 minute'
FROM generate_series(1, 20) AS i;
DO $do$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext') THEN
        CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
        CREATE TABLE public.any_case (id int PRIMARY KEY, word public.citext);
        INSERT INTO public.any_case SELECT i, 'Word ' || i FROM generate_series(1, 10) AS i;
    END IF;
END $do$;
