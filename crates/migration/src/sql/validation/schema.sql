-- What validation knows of each table, by its name on the side that changes go to.
CREATE TABLE IF NOT EXISTS trunkline.validation (
    migration      text NOT NULL,
    leg            integer NOT NULL,
    table_schema   text NOT NULL,
    table_name     text NOT NULL,
    state          text NOT NULL DEFAULT 'pending',
    -- Which columns are compared, and by which key.
    compared       text NOT NULL,
    -- Whole readings of the table that were ended.
    rounds         integer NOT NULL DEFAULT 0,
    -- Where the reading that is under way goes on: above this key.
    above          text,
    rows_total     bigint NOT NULL DEFAULT 0,
    rows_compared  bigint NOT NULL DEFAULT 0,
    rows_rechecked bigint NOT NULL DEFAULT 0,
    rows_differing bigint NOT NULL DEFAULT 0,
    rows_busy      bigint NOT NULL DEFAULT 0,
    source_seconds double precision NOT NULL DEFAULT 0,
    -- Every change up to here was seen.
    position       pg_lsn,
    note           text,
    began_at       timestamptz,
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (migration, leg, table_schema, table_name)
);

-- Rows that differ, until they are found equal.
CREATE TABLE IF NOT EXISTS trunkline.validation_failures (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration    text NOT NULL,
    leg          integer NOT NULL,
    table_schema text NOT NULL,
    table_name   text NOT NULL,
    -- missing, extra, different or duplicated, as the target differs from the source.
    kind         text NOT NULL,
    -- The key's columns and values; null where the table has no key.
    key          jsonb,
    -- The columns that differ, of a row that is different.
    columns      text[] NOT NULL,
    source_place text,
    target_place text,
    -- A position of the side that changes come from: every change before it was seen.
    position     pg_lsn,
    found_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS validation_failures_of_table
    ON trunkline.validation_failures (migration, leg, table_schema, table_name);
