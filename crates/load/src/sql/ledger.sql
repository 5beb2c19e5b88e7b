CREATE TABLE IF NOT EXISTS trunkline.copy_parts (
    table_schema text NOT NULL,
    table_name   text NOT NULL,
    part         integer NOT NULL,
    cut          text NOT NULL CHECK (cut IN ('whole', 'pages', 'key')),
    key_column   text,
    low          bigint,
    high         bigint,
    snapshot     text,
    state        text NOT NULL CHECK (state IN ('planned', 'copied')),
    rows         bigint NOT NULL DEFAULT 0,
    bytes        bigint NOT NULL DEFAULT 0,
    copied_at    timestamptz,
    PRIMARY KEY (table_schema, table_name, part)
);
CREATE TABLE IF NOT EXISTS trunkline.structure (
    kind     text NOT NULL,
    schema   text NOT NULL,
    name     text NOT NULL,
    ordinal  integer NOT NULL,
    outcome  text NOT NULL CHECK (outcome IN ('made', 'left out')),
    reason   text,
    made_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, schema, name, ordinal)
);
CREATE TABLE IF NOT EXISTS trunkline.large_objects (
    loid   oid PRIMARY KEY,
    bytes  bigint NOT NULL,
    copied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE IF NOT EXISTS trunkline.columns_as_stored (
    table_schema text NOT NULL,
    table_name   text NOT NULL,
    column_name  text NOT NULL,
    PRIMARY KEY (table_schema, table_name, column_name)
);
