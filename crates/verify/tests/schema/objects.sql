-- One of each kind of object, with what can be said of it.
CREATE SCHEMA app;
CREATE SCHEMA "Odd.Schema";
SET search_path = app;

CREATE TYPE mood AS ENUM ('sad', 'so, so', 'it''s');
CREATE TYPE pair AS (a integer, "B c" text COLLATE "C");
CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE DOMAIN positive AS integer DEFAULT 1 CONSTRAINT above_zero CHECK (VALUE > 0);
CREATE DOMAIN code AS varchar(8) COLLATE "C" NOT NULL CHECK (VALUE IN ('a', 'b'));

CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION twice(t text, again boolean DEFAULT true) RETURNS text LANGUAGE plpgsql STABLE
    SET search_path = app AS $body$
BEGIN
    RETURN t || CASE WHEN again THEN t ELSE '' END;  -- $$ 'quotes'
END $body$;
CREATE PROCEDURE tidy(INOUT n integer) LANGUAGE plpgsql AS 'BEGIN n := n + 1; END';
CREATE AGGREGATE total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';

CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY (START 100) PRIMARY KEY,
    email text COLLATE "C" NOT NULL,
    name varchar(20) DEFAULT 'no ''name''',
    state varchar NOT NULL CHECK (state IN ('new', 'old')),
    feeling mood DEFAULT 'sad',
    place pair,
    level positive,
    tags text[] DEFAULT ARRAY['x', 'y']::varchar[],
    seen timestamptz DEFAULT now(),
    since timestamp DEFAULT timezone('utc', now()),
    short text GENERATED ALWAYS AS (substr(email, 1, 3)) STORED,
    CONSTRAINT customers_email UNIQUE (email) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT sensible CHECK (level > 0 AND (name IS NOT NULL OR email LIKE '%@%')) NO INHERIT
);
ALTER TABLE customers ADD CONSTRAINT later CHECK (id > 0) NOT VALID;
CREATE INDEX customers_name ON customers USING btree (lower(name) DESC, (id + 1)) INCLUDE (seen)
    WHERE state IN ('new', 'other');
CREATE UNIQUE INDEX customers_identity ON customers (email, state);
ALTER TABLE customers REPLICA IDENTITY USING INDEX customers_identity;

CREATE TABLE orders (
    id serial PRIMARY KEY,
    customer_id bigint NOT NULL CONSTRAINT orders_customer REFERENCES customers
        ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE,
    note text,
    during daterange,
    EXCLUDE USING gist (during WITH &&)
);
CREATE INDEX orders_note ON orders (note);
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON orders FOR SELECT TO reader, writer
    USING (EXISTS (SELECT FROM customers c WHERE c.id = customer_id AND c.state IN ('new', 'old')));
CREATE POLICY bounds ON orders AS RESTRICTIVE USING (id > 0) WITH CHECK (id < 1000);
CREATE TRIGGER stamp_order BEFORE UPDATE OF note ON orders FOR EACH ROW
    WHEN (OLD.note IS DISTINCT FROM NEW.note) EXECUTE FUNCTION stamp();
CREATE TRIGGER off BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
ALTER TABLE orders DISABLE TRIGGER off;
CREATE CONSTRAINT TRIGGER at_the_end AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION stamp();
ALTER TABLE orders ENABLE ALWAYS TRIGGER at_the_end;
CREATE RULE keep AS ON DELETE TO orders WHERE OLD.id < 10 DO INSTEAD NOTHING;
CREATE RULE logged AS ON UPDATE TO orders DO ALSO
    INSERT INTO customers (email, state) SELECT OLD.note, c.state FROM customers c;
ALTER TABLE orders DISABLE RULE logged;

CREATE TABLE events (
    id bigint NOT NULL, at date NOT NULL, kind text NOT NULL, customer_id bigint REFERENCES customers,
    PRIMARY KEY (id, at), CHECK (kind <> '')
) PARTITION BY RANGE (at);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2030-01-01')
    PARTITION BY HASH (id);
CREATE TABLE events_new_a PARTITION OF events_new FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_new_b PARTITION OF events_new FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE kinds (k text, n numeric) PARTITION BY LIST (lower(k));
CREATE TABLE kinds_ab PARTITION OF kinds FOR VALUES IN ('a', 'b', NULL);
CREATE TABLE kinds_rest PARTITION OF kinds DEFAULT;
CREATE TABLE events_alone (
    kind text NOT NULL, id bigint NOT NULL, at date NOT NULL, customer_id bigint,
    CONSTRAINT other_name FOREIGN KEY (customer_id) REFERENCES customers,
    CONSTRAINT events_kind_check CHECK (kind <> '')
);
ALTER TABLE events ATTACH PARTITION events_alone FOR VALUES FROM ('2030-01-01') TO ('2040-01-01');
CREATE INDEX events_kind ON events (kind, at DESC);
CREATE INDEX events_alone_only ON events_alone (customer_id);
CREATE INDEX events_not_everywhere ON ONLY events (customer_id);
CREATE TRIGGER on_event AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION stamp();
ALTER TABLE events_old DISABLE TRIGGER on_event;
CREATE TABLE event_notes (id bigint, at date, FOREIGN KEY (id, at) REFERENCES events);

CREATE TABLE numbered (id bigint GENERATED BY DEFAULT AS IDENTITY, k integer NOT NULL) PARTITION BY LIST (k);
CREATE TABLE numbered_1 PARTITION OF numbered FOR VALUES IN (1);

CREATE TABLE people (name text NOT NULL, born date, CHECK (born > '1800-01-01'));
CREATE TABLE staff (salary numeric(12, 2) DEFAULT 1.50) INHERITS (people);
CREATE UNLOGGED TABLE scratch (v integer);
CREATE TABLE typed OF pair (a PRIMARY KEY);
CREATE TABLE "Odd.Schema"."Odd ""Table" ("Odd Column" integer PRIMARY KEY, "user" text, json_array int);
CREATE TABLE nothing ();
ALTER TABLE nothing REPLICA IDENTITY FULL;

CREATE SEQUENCE tickets AS smallint INCREMENT 5 MINVALUE 10 MAXVALUE 30000 START 20 CACHE 7 CYCLE;

CREATE VIEW plain_view WITH (security_barrier) AS
    SELECT id, name AS "Name", twice(1) FROM customers WHERE state IN ('new', 'old');
ALTER VIEW plain_view ALTER COLUMN id SET DEFAULT 7;
CREATE VIEW joined AS
    SELECT c.id, o.note, (SELECT max(e.id) FROM events e WHERE e.customer_id = c.id) AS last_event
      FROM customers c LEFT JOIN orders o ON o.customer_id = c.id
     ORDER BY o.note NULLS FIRST;
CREATE TRIGGER into_view INSTEAD OF INSERT ON joined FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE MATERIALIZED VIEW counted AS
    SELECT kind, count(*) AS n FROM events GROUP BY kind WITH NO DATA;
CREATE UNIQUE INDEX counted_kind ON counted (kind);

CREATE EVENT TRIGGER watching ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE')
    EXECUTE FUNCTION watch();
ALTER EVENT TRIGGER watching DISABLE;

GRANT USAGE ON SCHEMA app TO reader, writer;
GRANT SELECT ON customers, joined TO reader;
GRANT ALL ON customers TO writer;
GRANT SELECT ON orders TO reader WITH GRANT OPTION;
GRANT INSERT, UPDATE (note) ON orders TO "Odd role";
GRANT SELECT ON people TO PUBLIC;
GRANT USAGE ON SEQUENCE tickets, orders_id_seq TO writer;
REVOKE EXECUTE ON FUNCTION twice(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION twice(integer) TO reader;
REVOKE DELETE, TRUNCATE ON staff FROM CURRENT_USER;
RESET search_path;
