//! Which of COPY's formats carries a table. Binary only where it is sure: every column of
//! the same type on both sides, and of a type whose binary form holds no OID and no
//! setting. Everything else goes as text, which the pinned settings make exact.

use std::collections::HashMap;

use crate::catalog::TableColumn;

/// COPY's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CopyFormat {
    /// Bytes as the types' send functions write them.
    Binary,
    /// Text as the types' output functions write it.
    Text,
}

impl CopyFormat {
    /// As COPY's option spells it.
    pub fn sql(self) -> &'static str {
        match self {
            CopyFormat::Binary => "binary",
            CopyFormat::Text => "text",
        }
    }
}

/// A column's type, as far as it decides how values travel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ColumnType {
    /// Its schema.
    pub schema: String,
    /// Its name in that schema; arrays begin with `_`.
    pub name: String,
    /// What stands below a domain, `schema.name`; the type itself otherwise.
    pub base: String,
    /// Whether its binary form means the same on every server.
    pub portable_binary: bool,
}

/// A row of `pg_type`.
pub(crate) struct TypeRow {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) base: u32,
}

/// Built-in types whose binary form is the same from version 12 to 18 and holds neither
/// OIDs nor anything that a setting changes. Their arrays, whose element OIDs are fixed,
/// are as good.
const PORTABLE: [&str; 46] = [
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cidr",
    "circle",
    "date",
    "daterange",
    "float4",
    "float8",
    "inet",
    "int2",
    "int4",
    "int4range",
    "int8",
    "int8range",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "name",
    "numeric",
    "numrange",
    "oid",
    "path",
    "pg_lsn",
    "point",
    "polygon",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsrange",
    "tstzrange",
    "tsvector",
    "uuid",
    "varbit",
    "varchar",
    "xid8",
];

fn is_portable_builtin(name: &str) -> bool {
    PORTABLE.contains(&name.strip_prefix('_').unwrap_or(name))
}

/// Looks through domains and judges every type.
pub(crate) fn resolve_types(rows: &[TypeRow]) -> HashMap<u32, ColumnType> {
    let by_oid: HashMap<u32, &TypeRow> = rows.iter().map(|row| (row.oid, row)).collect();
    rows.iter()
        .map(|row| {
            let base = std::iter::successors(Some(row), |row| match row.kind.as_str() {
                "d" => by_oid.get(&row.base).copied(),
                _ => None,
            });
            let base = base.last().unwrap_or(row);
            let portable_binary = match base.kind.as_str() {
                // An enum's binary form is its label.
                "e" => true,
                "b" | "r" => base.schema == "pg_catalog" && is_portable_builtin(&base.name),
                _ => false,
            };
            let resolved = ColumnType {
                schema: row.schema.clone(),
                name: row.name.clone(),
                base: format!("{}.{}", base.schema, base.name),
                portable_binary,
            };
            (row.oid, resolved)
        })
        .collect()
}

/// Chooses the format for columns that are paired with the target's, `None` where the
/// target's is not known.
pub(crate) fn choose<'a>(
    pairs: impl IntoIterator<Item = (&'a TableColumn, Option<&'a TableColumn>)>,
) -> CopyFormat {
    let binary = pairs.into_iter().all(|(source, target)| {
        source.column_type.portable_binary
            && target.is_some_and(|target| target.column_type == source.column_type)
    });
    if binary {
        CopyFormat::Binary
    } else {
        CopyFormat::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(oid: u32, schema: &str, name: &str, kind: &str, base: u32) -> TypeRow {
        TypeRow {
            oid,
            schema: schema.into(),
            name: name.into(),
            kind: kind.into(),
            base,
        }
    }

    fn column(column_type: &ColumnType) -> TableColumn {
        TableColumn {
            name: "c".into(),
            column_type: column_type.clone().into(),
            generated: false,
            identity: None,
            not_null: false,
        }
    }

    fn types() -> HashMap<u32, ColumnType> {
        resolve_types(&[
            row(23, "pg_catalog", "int4", "b", 0),
            row(20, "pg_catalog", "int8", "b", 0),
            row(1007, "pg_catalog", "_int4", "b", 0),
            row(2205, "pg_catalog", "regclass", "b", 0),
            row(3904, "pg_catalog", "int4range", "r", 0),
            row(100, "public", "mood", "e", 0),
            row(101, "public", "_mood", "b", 0),
            row(102, "public", "positive", "d", 23),
            row(103, "public", "very_positive", "d", 102),
            row(104, "public", "pair", "c", 0),
            row(105, "public", "hstore", "b", 0),
            row(106, "public", "table_name", "d", 2205),
        ])
    }

    #[test]
    fn only_types_without_oids_inside_travel_in_binary() {
        let types = types();
        let portable = |oid: u32| types[&oid].portable_binary;
        assert!(
            [23, 20, 1007, 3904, 100, 102, 103]
                .into_iter()
                .all(portable)
        );
        assert!(![2205, 101, 104, 105, 106].into_iter().any(portable));
    }

    #[test]
    fn a_type_that_differs_on_the_target_makes_it_text() {
        let types = types();
        let (int4, int8, domain) = (
            column(&types[&23]),
            column(&types[&20]),
            column(&types[&102]),
        );
        assert_eq!(choose([(&int4, Some(&int4))]), CopyFormat::Binary);
        assert_eq!(choose([(&int4, Some(&int8))]), CopyFormat::Text);
        assert_eq!(choose([(&domain, Some(&int4))]), CopyFormat::Text);
        assert_eq!(choose([(&int4, None)]), CopyFormat::Text);
        assert_eq!(choose([]), CopyFormat::Binary);
    }
}
