//! A comparison with what the catalogs of both sides say of it: how each column goes into
//! the hash, what tells rows apart, and whether the key cuts the table into ranges.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use smol_str::SmolStr;
use trunkline_changes::{Pool, quote_ident, quote_literal};

use crate::comparison::{Comparison, End};
use crate::facts::{ColumnFacts, TableFacts};
use crate::hashing::{Elements, Hashing, Sent};

/// How a column goes into the hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// By its send format; of a domain, that of the type below it.
    Sent {
        base_type: u32,
        cast_to: Option<SmolStr>,
    },
    /// By its text.
    Text,
}

/// A column that goes into a hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Column {
    name: SmolStr,
    form: Form,
    /// The type below any domain, as SQL.
    base_name: SmolStr,
}

/// The leading column of a key whose order is the same on every server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lead {
    column: SmolStr,
    cast_to: SmolStr,
}

/// Rows whose leading key column lies above `above` and not above `up_to`; without bounds,
/// all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The bound below, left out.
    pub above: Option<String>,
    /// The bound above, taken in.
    pub up_to: Option<String>,
}

/// Some rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Those of a range of its key.
    Range(Range),
    /// Those of these keys, each the text of its columns' values.
    Keys(Vec<Vec<String>>),
}

impl Rows {
    /// Every row.
    #[must_use]
    pub fn all() -> Self {
        Rows::Range(Range::default())
    }
}

/// The OID of bigint.
const INT8: u32 = 20;

/// Built-in types whose send format is exact and the same from 12 to 18 (`pg_type.dat`).
const SENT_EXACTLY: &[u32] = &[
    16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 650, 774, 790, 829, 869, 1042, 1043, 1082, 1083, 1114,
    1184, 1186, 1266, 1560, 1562, 1700, 2950, 3802,
];

/// Those whose order knows no collation: bool, bytea, the integers, oid, date, time, both
/// timestamps, numeric, uuid.
const ORDERED_ALIKE: &[u32] = &[16, 17, 20, 21, 23, 26, 1082, 1083, 1114, 1184, 1700, 2950];

/// How a table is compared.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) comparison: Comparison,
    columns: Arc<[Column]>,
    /// Empty where nothing tells rows apart.
    key: Arc<[Column]>,
    /// Whether both sides have that key, so that none of its columns is ever NULL.
    is_key_of_both: bool,
    lead: Option<Lead>,
    hashing: Hashing,
    /// A row as a whole does not fit into one value: its columns are hashed one by one.
    is_wide: AtomicBool,
}

impl Shape {
    /// `lists` holds the columns of the shapes before it.
    pub(crate) fn new(
        comparison: Comparison,
        hashing: Hashing,
        (source, target): (&TableFacts, &TableFacts),
        lists: &mut Pool<[Column]>,
    ) -> Shape {
        let shape = |name: &SmolStr| {
            let here = source.columns.get(name);
            Column {
                name: name.clone(),
                form: form(here, target.columns.get(name)),
                base_name: here.map_or_else(SmolStr::default, |facts| facts.base_name.clone()),
            }
        };
        let columns: Vec<Column> = comparison.columns.iter().map(shape).collect();
        let is_compared = |name| comparison.columns.contains(name);
        let key: Vec<Column> = if source.key.iter().all(is_compared) {
            source.key.iter().map(shape).collect()
        } else {
            Vec::new()
        };
        let lead = lead(&comparison, source, target).filter(|_| !key.is_empty());
        Shape {
            comparison,
            columns: lists.share(columns),
            is_key_of_both: source.key == target.key,
            key: lists.share(key),
            lead,
            hashing,
            is_wide: AtomicBool::new(false),
        }
    }

    pub(crate) fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    pub(crate) fn can_be_cut(&self) -> bool {
        self.lead.is_some()
    }

    /// Whether it is larger than a part, and can be read in parts.
    pub(crate) fn is_worth_cutting(&self) -> bool {
        self.comparison.bytes > self.comparison.part_bytes && self.can_be_cut()
    }

    pub(crate) fn is_wide(&self) -> bool {
        self.is_wide.load(Ordering::Relaxed)
    }

    pub(crate) fn hash_columns_one_by_one(&self) {
        self.is_wide.store(true, Ordering::Relaxed);
    }

    pub(crate) fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    pub(crate) fn key_names(&self) -> impl Iterator<Item = &str> {
        self.key.iter().map(|column| column.name.as_str())
    }

    /// The hash of a row of `t`, as SQL.
    pub(crate) fn row_hash(&self) -> String {
        if self.is_wide() {
            let hashes = self.column_hashes().into_iter();
            let sent = hashes.map(|value| Sent {
                value,
                base_type: INT8,
            });
            let all = Elements {
                sent: sent.collect(),
                texts: Vec::new(),
            };
            self.hashing.of_row(&all, &self.seed_columns())
        } else {
            let hashing = self.hashing;
            hashing.of_row(&elements(&self.columns), &self.seed_columns())
        }
    }

    /// The hash of what tells a row of `t` apart: its key, or all of it.
    pub(crate) fn key_hash(&self) -> String {
        if self.key.is_empty() {
            self.row_hash()
        } else {
            self.hash_of(&self.key)
        }
    }

    /// A hash for every column of `t`, as SQL.
    pub(crate) fn column_hashes(&self) -> Vec<String> {
        let each = self.columns.iter();
        each.map(|column| self.hash_of(std::slice::from_ref(column)))
            .collect()
    }

    fn seed_columns(&self) -> Elements {
        if self.is_key_of_both {
            elements(&self.key)
        } else {
            Elements::default()
        }
    }

    fn hash_of(&self, columns: &[Column]) -> String {
        self.hashing.of(&elements(columns))
    }

    /// Which rows of `t` take part, as SQL: ` WHERE …`, or nothing.
    pub(crate) fn selection(&self, end: End, rows: &Rows) -> String {
        let moved = self.comparison.moved.iter().filter(|_| end == End::From);
        let conditions = moved.chain(&self.comparison.choice.condition);
        let mut all: Vec<String> = conditions.map(|sql| format!("({sql})")).collect();
        if let Some(share) = self.comparison.choice.sample {
            all.push(format!("({} & 65535) < {share}", self.key_hash()));
        }
        match rows {
            Rows::Range(range) => all.extend(self.within(range)),
            Rows::Keys(keys) => all.push(self.among(keys)),
        }
        if all.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", all.join(" AND "))
        }
    }

    fn within(&self, range: &Range) -> Vec<String> {
        let Some(lead) = &self.lead else {
            return Vec::new();
        };
        let bound = |operator: &str, value: &Option<String>| {
            value.as_ref().map(|value| {
                format!(
                    "t.{} {operator} CAST({} AS {})",
                    quote_ident(&lead.column),
                    quote_literal(value),
                    lead.cast_to
                )
            })
        };
        let bounds = [bound(">", &range.above), bound("<=", &range.up_to)];
        bounds.into_iter().flatten().collect()
    }

    fn among(&self, keys: &[Vec<String>]) -> String {
        if keys.is_empty() {
            return "false".to_owned();
        }
        let names: Vec<String> = self
            .key_names()
            .map(|name| format!("t.{}", quote_ident(name)))
            .collect();
        let row = |key: &Vec<String>| {
            let values: Vec<String> = key
                .iter()
                .zip(&*self.key)
                .map(|(value, column)| {
                    format!("CAST({} AS {})", quote_literal(value), column.base_name)
                })
                .collect();
            format!("({})", values.join(", "))
        };
        let rows: Vec<String> = keys.iter().map(row).collect();
        format!("({}) IN (VALUES {})", names.join(", "), rows.join(", "))
    }

    /// The statement that gives where a part of so many rows above a bound ends; no row when
    /// the table ends before.
    pub(crate) fn cut_sql(&self, above: Option<&str>, rows: u64) -> Option<String> {
        let lead = self.lead.as_ref()?;
        let column = format!("t.{}", quote_ident(&lead.column));
        let above = above.map_or(String::new(), |value| {
            let (value, cast_to) = (quote_literal(value), &lead.cast_to);
            format!(" WHERE {column} > CAST({value} AS {cast_to})")
        });
        Some(format!(
            "SELECT format('%s', {column}) FROM {only}{table} AS t{above} \
             ORDER BY {column} OFFSET {rows} LIMIT 1",
            only = self.comparison.source_reading.prefix(),
            table = self.comparison.sources[0].quoted(),
        ))
    }
}

fn elements(columns: &[Column]) -> Elements {
    let mut all = Elements::default();
    for column in columns {
        let value = format!("t.{}", quote_ident(&column.name));
        match &column.form {
            Form::Sent { base_type, cast_to } => all.sent.push(Sent {
                value: match cast_to {
                    Some(to) => format!("CAST({value} AS {to})"),
                    None => value,
                },
                base_type: *base_type,
            }),
            Form::Text => all.texts.push(value),
        }
    }
    all
}

fn form(source: Option<&ColumnFacts>, target: Option<&ColumnFacts>) -> Form {
    match (source, target) {
        (Some(one), Some(other))
            if one.base_type == other.base_type && SENT_EXACTLY.contains(&one.base_type) =>
        {
            // The statement is one for both sides, so either's domain is cast away.
            let cast_to = (one.is_domain || other.is_domain).then(|| one.base_name.clone());
            Form::Sent {
                base_type: one.base_type,
                cast_to,
            }
        }
        _ => Form::Text,
    }
}

fn lead(comparison: &Comparison, source: &TableFacts, target: &TableFacts) -> Option<Lead> {
    let column = source.key.first()?;
    let (one, other) = (source.columns.get(column)?, target.columns.get(column)?);
    let fits = comparison.sources.len() == 1
        && target.key.first() == Some(column)
        && one.base_type == other.base_type
        && ORDERED_ALIKE.contains(&one.base_type);
    fits.then(|| Lead {
        column: column.clone(),
        cast_to: one.base_name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use trunkline_changes::TableName;

    use super::*;
    use crate::comparison::{Choice, Reading};

    fn facts(columns: &[(&str, u32)], key: &[&str]) -> TableFacts {
        let column = |&(name, base_type): &(&str, u32)| {
            let facts = ColumnFacts {
                base_type,
                base_name: "pg_catalog.x".into(),
                is_domain: false,
            };
            (name.into(), facts)
        };
        TableFacts {
            columns: columns.iter().map(column).collect(),
            key: key.iter().map(|&name| name.into()).collect(),
        }
    }

    fn shape(facts: &TableFacts) -> Shape {
        let comparison = Comparison {
            target: TableName::new("s", "a\"b"),
            target_reading: Reading::Only,
            sources: vec![TableName::new("s", "a\"b")],
            source_reading: Reading::Only,
            columns: facts.columns.keys().cloned().collect(),
            names: trunkline_changes::ColumnMap::same(),
            moved: None,
            choice: Choice::default(),
            bytes: 0,
            part_bytes: crate::limits::PART_BYTES,
        };
        let lists = &mut Pool::default();
        Shape::new(comparison, Hashing::Columns, (facts, facts), lists)
    }

    #[test]
    fn a_key_of_text_is_never_cut_into_ranges() {
        assert!(shape(&facts(&[("id", 20), ("n", 25)], &["id", "n"])).can_be_cut());
        assert!(!shape(&facts(&[("id", 25), ("n", 20)], &["id", "n"])).can_be_cut());
        assert!(!shape(&facts(&[("id", 20)], &[])).can_be_cut());
    }

    #[test]
    fn floats_go_by_their_text_and_integers_by_their_bytes() {
        let sql = shape(&facts(&[("F", 701), ("i", 20)], &["i"])).row_hash();
        assert_eq!(
            sql,
            "hash_record_extended(ROW(int8send(t.\"i\"), CAST(ROW(t.\"F\") AS text) \
             COLLATE pg_catalog.\"C\"), hashint8extended(t.\"i\", 0))"
        );
    }

    #[test]
    fn a_bound_is_quoted_and_typed() {
        let shape = shape(&facts(&[("id", 20)], &["id"]));
        let range = Range {
            above: Some("1'0".to_owned()),
            up_to: None,
        };
        assert_eq!(
            shape.selection(End::From, &Rows::Range(range)),
            " WHERE t.\"id\" > CAST('1''0' AS pg_catalog.x)"
        );
    }
}
