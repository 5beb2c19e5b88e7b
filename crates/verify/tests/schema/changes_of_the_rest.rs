//! Single changes beside tables, each with all that may be named because of it. The names are in the schema
//! `app`, which is left away.

use crate::changes_of_tables::Mutation;

pub(crate) const OF_THE_REST: &[Mutation] = &[
    ("CREATE SCHEMA further", &["schema further: extra"]),
    ("ALTER TYPE mood ADD VALUE 'glad'", &["type mood: labels"]),
    (
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'x'; ALTER TYPE mood RENAME VALUE 'it''s' TO 'sad'; ALTER TYPE mood RENAME VALUE 'x' TO 'it''s'",
        &["column customers.feeling: default", "type mood: labels"],
    ),
    (
        "ALTER TYPE mood RENAME VALUE 'so, so' TO 'so'",
        &["type mood: labels"],
    ),
    (
        "ALTER TYPE pair ADD ATTRIBUTE c int CASCADE",
        &["column typed.c: extra", "type pair: columns"],
    ),
    (
        "ALTER TYPE pair RENAME ATTRIBUTE \"B c\" TO b CASCADE",
        &[
            "column typed.\"B c\": missing",
            "column typed.b: extra",
            "type pair: columns",
        ],
    ),
    (
        "ALTER DOMAIN positive SET DEFAULT 2",
        &["type positive: default"],
    ),
    ("ALTER DOMAIN code DROP NOT NULL", &["type code: not null"]),
    (
        "ALTER DOMAIN positive DROP CONSTRAINT above_zero",
        &["constraint positive.above_zero: missing"],
    ),
    (
        "ALTER DOMAIN positive DROP CONSTRAINT above_zero; ALTER DOMAIN positive ADD CONSTRAINT above_zero CHECK (VALUE > 1)",
        &["constraint positive.above_zero: definition"],
    ),
    (
        "DROP TYPE span; CREATE TYPE span AS RANGE (subtype = float8)",
        &["type span: range"],
    ),
    (
        "DROP DOMAIN code; CREATE DOMAIN code AS varchar(9) COLLATE \"C\" NOT NULL CHECK (VALUE IN ('a', 'b'))",
        &["type code: base type"],
    ),
    ("DROP DOMAIN code", &["type code: missing"]),
    (
        "ALTER SEQUENCE tickets INCREMENT 6",
        &["sequence tickets: increment"],
    ),
    (
        "ALTER SEQUENCE tickets NO CYCLE MAXVALUE 20000",
        &["sequence tickets: cycle", "sequence tickets: maximum"],
    ),
    (
        "ALTER SEQUENCE orders_id_seq AS bigint",
        &[
            "sequence orders_id_seq: maximum",
            "sequence orders_id_seq: type",
        ],
    ),
    (
        "ALTER SEQUENCE orders_id_seq OWNED BY NONE",
        &["sequence orders_id_seq: owned by"],
    ),
    (
        "ALTER SEQUENCE tickets RESTART 500; SELECT pg_catalog.nextval('orders_id_seq')",
        &[],
    ),
    ("DROP SEQUENCE tickets", &["sequence tickets: missing"]),
    (
        "CREATE OR REPLACE FUNCTION twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1  * 2'",
        &["function twice(integer): definition"],
    ),
    (
        "ALTER FUNCTION twice(text, boolean) IMMUTABLE",
        &["function twice(text, boolean): definition"],
    ),
    (
        "ALTER FUNCTION twice(text, boolean) SET search_path = pg_catalog",
        &["function twice(text, boolean): definition"],
    ),
    (
        "CREATE FUNCTION twice(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1'",
        &["function twice(bigint): extra"],
    ),
    ("DROP PROCEDURE tidy", &["function tidy(integer): missing"]),
    (
        "DROP AGGREGATE total(integer); CREATE AGGREGATE total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '1')",
        &["function total(integer): definition"],
    ),
    (
        "CREATE OR REPLACE VIEW plain_view WITH (security_barrier) AS SELECT id, name AS \"Name\", twice(2) FROM customers WHERE state IN ('new', 'old')",
        &["view plain_view: definition"],
    ),
    (
        "ALTER VIEW plain_view RESET (security_barrier)",
        &["view plain_view: options"],
    ),
    (
        "ALTER VIEW plain_view ALTER id SET DEFAULT 8",
        &["column plain_view.id: default"],
    ),
    ("DROP VIEW joined", &["view joined: missing"]),
    (
        "DROP MATERIALIZED VIEW counted; CREATE VIEW counted AS SELECT 1",
        &["materialized view counted: missing", "view counted: extra"],
    ),
    (
        "ALTER EVENT TRIGGER watching ENABLE",
        &["event trigger watching: enabled"],
    ),
    (
        "DROP EVENT TRIGGER watching",
        &["event trigger watching: missing"],
    ),
    (
        "CREATE EXTENSION IF NOT EXISTS hstore SCHEMA app",
        &["extension hstore: extra"],
    ),
];

pub(crate) const OF_RIGHTS: &[Mutation] = &[
    (
        "REVOKE SELECT ON customers FROM reader",
        &["grant table customers to reader: missing"],
    ),
    (
        "REVOKE INSERT ON customers FROM writer",
        &["grant table customers to writer: privileges"],
    ),
    (
        "REVOKE GRANT OPTION FOR SELECT ON orders FROM reader",
        &["grant table orders to reader: privileges"],
    ),
    (
        "GRANT UPDATE (id) ON orders TO reader",
        &["grant column orders.id to reader: extra"],
    ),
    (
        "REVOKE UPDATE (note) ON orders FROM \"Odd role\"",
        &["grant column orders.note to Odd role: missing"],
    ),
    (
        "REVOKE SELECT ON people FROM PUBLIC",
        &["grant table people to PUBLIC: missing"],
    ),
    (
        "REVOKE DELETE ON scratch FROM CURRENT_USER",
        &["grant table scratch to its owner: privileges"],
    ),
    ("GRANT ALL ON scratch TO CURRENT_USER", &[]),
    ("ALTER TABLE scratch OWNER TO somebody", &[]),
    (
        "REVOKE USAGE ON SCHEMA app FROM reader",
        &["grant schema app to reader: missing"],
    ),
    (
        "REVOKE USAGE ON SEQUENCE tickets FROM writer",
        &["grant sequence tickets to writer: missing"],
    ),
    (
        "GRANT SELECT ON SEQUENCE tickets TO writer",
        &["grant sequence tickets to writer: privileges"],
    ),
    (
        "GRANT EXECUTE ON FUNCTION twice(integer) TO PUBLIC",
        &["grant function twice(integer) to PUBLIC: extra"],
    ),
    (
        "REVOKE EXECUTE ON FUNCTION twice(text, boolean) FROM PUBLIC",
        &["grant function twice(text, boolean) to PUBLIC: missing"],
    ),
    (
        "GRANT SELECT ON joined TO writer",
        &["grant view joined to writer: extra"],
    ),
];
