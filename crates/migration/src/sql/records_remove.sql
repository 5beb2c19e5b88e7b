-- The schema with our records goes. Where a log of changes of structure stands in it, of a
-- migration that this database is the source of, only the tables go.
DO $$
DECLARE
    ours text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_proc
                    WHERE pronamespace = pg_catalog.to_regnamespace('trunkline')) THEN
        DROP SCHEMA IF EXISTS trunkline CASCADE;
        RETURN;
    END IF;
    FOR ours IN
        SELECT relname FROM pg_catalog.pg_class
         WHERE relnamespace = pg_catalog.to_regnamespace('trunkline') AND relkind = 'r'
    LOOP
        EXECUTE pg_catalog.format('DROP TABLE trunkline.%I CASCADE', ours);
    END LOOP;
END
$$
