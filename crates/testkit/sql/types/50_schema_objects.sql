-- What has no rows to stream and still has to arrive: views, functions, triggers, sequences,
-- statistics, comments, policies, rules, collations, settings of a table.
CREATE VIEW numbers_view WITH (security_barrier) AS SELECT id, n FROM numbers WHERE n > 0;
CREATE MATERIALIZED VIEW parts_per_region AS SELECT region, count(*) FROM parts GROUP BY region;
CREATE UNIQUE INDEX ON parts_per_region (region);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql SET search_path = matrix AS $$
BEGIN
    NEW.touched := coalesce(NEW.touched, 0) + 1;
    RETURN NEW;
END $$;
CREATE TABLE triggered (id int PRIMARY KEY, v text, touched int) WITH (fillfactor = 70);
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch_always BEFORE UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE triggered ENABLE ALWAYS TRIGGER touch_always;
CREATE TRIGGER touch_never BEFORE UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE triggered DISABLE TRIGGER touch_never;
INSERT INTO triggered VALUES (1, 'a'), (2, 'b');
ALTER TABLE triggered DISABLE TRIGGER touch_always;
CREATE STATISTICS numbers_statistics (dependencies) ON i2, i4 FROM numbers;
COMMENT ON TABLE numbers IS 'a "comment" with ''quotes''';
COMMENT ON COLUMN numbers.n IS 'ünï';
CREATE TABLE ruled (id int PRIMARY KEY);
CREATE RULE ruled_insert AS ON INSERT TO ruled WHERE NEW.id < 0 DO INSTEAD NOTHING;
INSERT INTO ruled VALUES (-1), (1);
CREATE TABLE guarded (id int PRIMARY KEY, owner_name text);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON guarded USING (owner_name = current_user);
INSERT INTO guarded VALUES (1, 'postgres'), (2, 'other');
CREATE SEQUENCE never_called START 77;
CREATE SEQUENCE called_and_cached CACHE 20 AS smallint;
SELECT nextval('called_and_cached');
CREATE SEQUENCE at_its_end MAXVALUE 3 START 3;
SELECT nextval('at_its_end');
CREATE AGGREGATE sum_of(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE COLLATION german (LOCALE = 'C');
