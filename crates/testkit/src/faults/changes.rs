//! What may be changed in one value, by its type: the text it has becomes another one. Pure.
//! Not every change fits every value; the server refuses what is no value of the type, and
//! whoever plants looks whether the row's text is another one afterwards.

mod letters;
mod nested;
mod numbers;

use fastrand::Rng;

use super::tables::{Column, Make};

/// A change of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) what: &'static str,
    pub(super) to: To,
}

/// What a value becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum To {
    Null,
    Text(String),
    /// An expression; `{c}` stands for the column.
    Sql(String),
}

fn text(what: &'static str, to: impl Into<String>) -> Change {
    Change {
        what,
        to: To::Text(to.into()),
    }
}

fn sql(what: &'static str, expression: &'static str) -> Change {
    Change {
        what,
        to: To::Sql(expression.to_owned()),
    }
}

/// The changes of a value that are worth a try, in any order.
pub(super) fn changes(column: &Column, old: Option<&str>, rng: &mut Rng) -> Vec<Change> {
    let Some(old) = old else {
        return instead_of_null(column);
    };
    let mut all = match column.make {
        Make::Array => nested::of_array(old, rng),
        Make::Range => nested::of_range(old, rng),
        Make::Multirange => nested::of_multirange(old, rng),
        Make::Composite => nested::of_composite(old, rng),
        Make::Enum => {
            let others = column.labels.iter().filter(|label| *label != old);
            others
                .map(|label| text("another label of an enum", label))
                .collect()
        }
        Make::Plain => of_plain(&column.type_name, old, rng),
    };
    let what = match old {
        "" | "{}" | "empty" | "\\x" => "NULL for empty",
        _ => "NULL for a value",
    };
    all.push(Change { what, to: To::Null });
    rng.shuffle(&mut all);
    all
}

fn instead_of_null(column: &Column) -> Vec<Change> {
    let value = match (column.make, column.type_name.as_str()) {
        (Make::Array | Make::Multirange, _) => "{}",
        (Make::Range, _) => "empty",
        (Make::Enum, _) => match column.labels.first() {
            Some(label) => label,
            None => return Vec::new(),
        },
        (_, "bytea") => "\\x",
        (_, "json" | "jsonb") => "null",
        (_, "bool") => "f",
        (_, "int2" | "int4" | "int8" | "oid" | "numeric" | "float4" | "float8" | "money") => "0",
        _ => "",
    };
    vec![text("empty for NULL", value)]
}

fn of_plain(type_name: &str, old: &str, rng: &mut Rng) -> Vec<Change> {
    match type_name {
        "bool" => vec![text(
            "the other boolean",
            if old == "t" { "f" } else { "t" },
        )],
        "int2" | "int4" | "int8" | "oid" | "xid" | "xid8" | "cid" => numbers::of_integer(old, rng),
        "float4" => numbers::of_float4(old, rng),
        "float8" => numbers::of_float8(old, rng),
        "numeric" => numbers::of_numeric(old),
        "money" => numbers::one_digit("a digit of money", old, rng),
        "text" | "varchar" | "bpchar" | "citext" | "name" | "char" | "refcursor" => {
            of_text(type_name, old, rng)
        }
        "bytea" => letters::of_hex("one bit of bytea", old, 2, rng)
            .into_iter()
            .chain([text("one byte more", format!("{old}00"))])
            .collect(),
        "uuid" => letters::of_hex("one bit of uuid", old, 0, rng),
        "macaddr" | "macaddr8" => letters::of_hex("one bit of a hardware address", old, 0, rng),
        "pg_lsn" => letters::of_hex("one bit of a position", old, 0, rng),
        "bit" | "varbit" => letters::of_bits(old, rng),
        "json" | "jsonb" => nested::of_json(type_name == "json", old, rng),
        "xml" => {
            let mut all = letters::one_letter("a letter of xml", old, rng);
            all.push(text("a comment in xml", format!("{old}<!-- -->")));
            all.push(text("whitespace in xml", format!("{old} ")));
            all
        }
        "hstore" => {
            let comma = if old.is_empty() { "" } else { ", " };
            let mut all = letters::any(old, rng);
            all.push(text(
                "one key more",
                format!("{old}{comma}\"one more\"=>NULL"),
            ));
            all
        }
        "ltree" => {
            let dot = if old.is_empty() { "" } else { "." };
            let mut all = letters::any(old, rng);
            all.push(text("one label more", format!("{old}{dot}more")));
            all
        }
        "aclitem" => letters::of_privileges(old),
        "int2vector" | "oidvector" => {
            let mut all = numbers::one_digit("a digit of a vector", old, rng);
            all.push(text("one element more", format!("{old} 9")));
            all
        }
        _ => of_moment_or_other(type_name, old, rng),
    }
}

fn of_moment_or_other(type_name: &str, old: &str, rng: &mut Rng) -> Vec<Change> {
    match type_name {
        "date" => vec![sql("one day", "{c} + 1"), sql("one day", "{c} - 1")],
        "time" | "timestamp" | "timestamptz" => vec![
            sql("one microsecond", "{c} + interval '1 microsecond'"),
            sql("one microsecond", "{c} - interval '1 microsecond'"),
            sql("one second", "{c} - interval '1 second'"),
        ],
        "timetz" => vec![
            sql("one microsecond", "{c} - interval '1 microsecond'"),
            sql(
                "a zone with the same instant",
                "{c} AT TIME ZONE interval '02:00'",
            ),
        ],
        "interval" => vec![
            sql(
                "24 hours for 1 day",
                "{c} - interval '1 day' + interval '24 hours'",
            ),
            sql(
                "1 day for 24 hours",
                "{c} - interval '24 hours' + interval '1 day'",
            ),
            sql(
                "30 days for 1 month",
                "{c} - interval '1 month' + interval '30 days'",
            ),
            sql("one microsecond", "{c} + interval '1 microsecond'"),
        ],
        "inet" => vec![
            sql("another netmask", NETMASK),
            sql("the next address", "{c} + 1"),
        ],
        "cidr" => vec![sql("another netmask", NETMASK)],
        "tsvector" => {
            let mut all = letters::any(old, rng);
            all.push(sql(
                "a weight of tsvector",
                "pg_catalog.setweight({c}, 'C')",
            ));
            all.push(sql(
                "a weight of tsvector",
                "pg_catalog.setweight({c}, 'D')",
            ));
            all
        }
        "tsquery" => {
            let mut all = letters::any(old, rng);
            all.push(text("an operator of tsquery", old.replace('&', "|")));
            all
        }
        "jsonpath" => {
            let lax = old.strip_prefix("strict ").map(str::to_owned);
            let mut all = letters::any(old, rng);
            all.push(text(
                "a mode of jsonpath",
                lax.unwrap_or(format!("strict {old}")),
            ));
            all
        }
        "point" | "line" | "lseg" | "box" | "path" | "polygon" | "circle" => {
            nested::of_shape(old, rng)
        }
        _ => catalog_name(type_name).map_or_else(
            || letters::any(old, rng),
            |name| {
                vec![
                    text("another name of the catalogs", name),
                    text("no name", "-"),
                ]
            },
        ),
    }
}

const NETMASK: &str = "pg_catalog.set_masklen({c}, CASE WHEN pg_catalog.masklen({c}) > 1 \
    THEN pg_catalog.masklen({c}) - 1 ELSE 7 END)";

/// Something that a column of a reg… type may name on every server.
fn catalog_name(type_name: &str) -> Option<&'static str> {
    Some(match type_name {
        "regclass" => "pg_catalog.pg_class",
        "regproc" => "pg_catalog.pg_backend_pid",
        "regprocedure" => "pg_catalog.pg_backend_pid()",
        "regtype" => "pg_catalog.int8",
        "regrole" => "pg_monitor",
        "regnamespace" => "public",
        "regconfig" => "pg_catalog.german",
        "regdictionary" => "pg_catalog.german_stem",
        "regoperator" => "pg_catalog.-(integer,integer)",
        "regcollation" => "pg_catalog.\"POSIX\"",
        _ => return None,
    })
}

fn of_text(type_name: &str, old: &str, rng: &mut Rng) -> Vec<Change> {
    let mut all = letters::one_bit(old, rng);
    let what = match type_name {
        "bpchar" => "a trailing space of bpchar",
        "varchar" => "a trailing space of varchar",
        "citext" => "a trailing space of citext",
        _ => "a trailing space of text",
    };
    all.push(text(what, format!("{old} ")));
    if !old.is_empty() {
        all.push(text("empty for a value", ""));
        all.push(text("a letter less", letters::without_last(old)));
    }
    let what = if type_name == "citext" {
        "another case of citext"
    } else {
        "another case"
    };
    let other_case = letters::other_case(old, rng);
    all.extend(other_case.map(|to| text(what, to)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(type_name: &str) -> Column {
        Column {
            name: "c".to_owned(),
            quoted: "c".to_owned(),
            type_name: type_name.to_owned(),
            make: Make::Plain,
            labels: Vec::new(),
            is_generated: false,
            is_free: true,
        }
    }

    fn texts(type_name: &str, old: &str) -> Vec<String> {
        let all = changes(&column(type_name), Some(old), &mut Rng::with_seed(1));
        let texts = all.into_iter().filter_map(|change| match change.to {
            To::Text(text) => Some(text),
            To::Null | To::Sql(_) => None,
        });
        texts.collect()
    }

    #[test]
    fn what_only_an_exact_comparison_sees_is_among_the_changes() {
        for (type_name, old, wanted) in [
            ("numeric", "1", "1.0"),
            ("numeric", "1.00", "1.0"),
            ("float8", "0", "-0"),
            ("float8", "-0", "0"),
            ("citext", "a", "A"),
            ("bpchar", "a", "a "),
            ("jsonb", "{\"a\": 1}", "{\"a\": 1.0}"),
            ("json", "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}"),
            ("json", "[]", "[] "),
        ] {
            let found = texts(type_name, old);
            assert!(
                found.iter().any(|text| text == wanted),
                "{type_name} {old}: {found:?}"
            );
        }
    }

    #[test]
    fn null_becomes_empty_and_empty_becomes_null() {
        let mut rng = Rng::with_seed(1);
        let empty = changes(&column("text"), None, &mut rng);
        assert_eq!(empty, [text("empty for NULL", "")]);
        let null = changes(&column("text"), Some(""), &mut rng);
        let what = "NULL for empty";
        assert!(null.contains(&Change { what, to: To::Null }));
    }
}
