-- Types of contrib modules, as far as the server has them.
DO $do$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hstore') THEN
        CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
        CREATE TABLE matrix.hstores (id int PRIMARY KEY, h public.hstore, hs public.hstore[]);
        INSERT INTO matrix.hstores VALUES
            (1, '', '{}'), (2, 'a=>1, b=>NULL, "c d"=>"\"", ""=>""', NULL),
            (3, NULL, ARRAY['x=>y'::public.hstore, NULL]);
    END IF;
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext') THEN
        CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
        CREATE TABLE matrix.citexts (c public.citext PRIMARY KEY, n int);
        INSERT INTO matrix.citexts VALUES ('Case', 1), ('other', 2), ('', 3), ('ÄÖ', 4);
    END IF;
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'ltree') THEN
        CREATE EXTENSION IF NOT EXISTS ltree SCHEMA public;
        CREATE TABLE matrix.ltrees (
            id int PRIMARY KEY, path public.ltree, q public.lquery, tq public.ltxtquery);
        INSERT INTO matrix.ltrees VALUES
            (1, 'Top.Science.Astronomy', 'Top.*{0,2}.Astro*@', 'Science & !Art'),
            (2, '', '*', 'a'), (3, NULL, NULL, NULL);
    END IF;
END $do$;
