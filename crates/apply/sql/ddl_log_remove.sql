DROP EVENT TRIGGER IF EXISTS {end_trigger};
DROP EVENT TRIGGER IF EXISTS {drop_trigger};
DO $$
BEGIN
    IF to_regnamespace('trunkline') IS NOT NULL THEN
        DROP FUNCTION IF EXISTS trunkline.{function}();
        -- What else stands in the schema belongs to somebody else.
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_depend
                        WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
                          AND refobjid = pg_catalog.to_regnamespace('trunkline')) THEN
            DROP SCHEMA trunkline;
        END IF;
    END IF;
END
$$
