//! Which tables are moved. A scope is read once, from patterns or from a filter file, and
//! then only asked. A filter that matches nothing is an error, never a silence.

mod ini;
mod pattern;

use std::collections::HashMap;

use trunkline_changes::TableName;

use crate::catalog::Table;
use crate::error::LoadError;
use pattern::{Part, Pattern};

pub use pattern::quoted_name;

/// The schema that holds everything of ours; never in scope.
pub const OWN_SCHEMA: &str = "trunkline";

/// What is moved and what is left where it is.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    include_schemas: Vec<Pattern>,
    exclude_schemas: Vec<Pattern>,
    include_tables: Vec<Pattern>,
    exclude_tables: Vec<Pattern>,
    exclude_indexes: Vec<Pattern>,
    exclude_data: Vec<Pattern>,
    /// The names that the patterns are about, of tables with other names.
    known_as: HashMap<TableName, TableName>,
}

/// The texts of a scope's patterns, by section.
#[derive(Clone, Debug, Default)]
pub struct ScopeBuilder {
    /// Schemas; nothing outside of them is moved (`include-only-schema`).
    pub include_schemas: Vec<String>,
    /// Schemas left out (`exclude-schema`).
    pub exclude_schemas: Vec<String>,
    /// Tables; no other table is moved (`include-only-table`).
    pub include_tables: Vec<String>,
    /// Tables left out (`exclude-table`).
    pub exclude_tables: Vec<String>,
    /// Indexes and the constraints that they carry, left out (`exclude-index`).
    pub exclude_indexes: Vec<String>,
    /// Tables whose structure is made and whose rows are not moved (`exclude-table-data`).
    pub exclude_data: Vec<String>,
}

impl ScopeBuilder {
    pub(crate) const SECTIONS: [&'static str; 6] = [
        "include-only-schema",
        "exclude-schema",
        "include-only-table",
        "exclude-table",
        "exclude-index",
        "exclude-table-data",
    ];

    fn section(&mut self, name: &str) -> Option<&mut Vec<String>> {
        Some(match name {
            "include-only-schema" => &mut self.include_schemas,
            "exclude-schema" => &mut self.exclude_schemas,
            "include-only-table" => &mut self.include_tables,
            "exclude-table" => &mut self.exclude_tables,
            "exclude-index" => &mut self.exclude_indexes,
            "exclude-table-data" => &mut self.exclude_data,
            _ => return None,
        })
    }

    /// Reads the patterns.
    pub fn build(&self) -> Result<Scope, LoadError> {
        let read = |texts: &[String], of: fn(&str) -> Result<Pattern, String>| {
            texts
                .iter()
                .map(|text| {
                    of(text).map_err(|why| LoadError::Pattern {
                        pattern: text.clone(),
                        why,
                    })
                })
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Scope {
            include_schemas: read(&self.include_schemas, Pattern::of_schema)?,
            exclude_schemas: read(&self.exclude_schemas, Pattern::of_schema)?,
            include_tables: read(&self.include_tables, Pattern::of_table)?,
            exclude_tables: read(&self.exclude_tables, Pattern::of_table)?,
            exclude_indexes: read(&self.exclude_indexes, Pattern::of_table)?,
            exclude_data: read(&self.exclude_data, Pattern::of_table)?,
            known_as: HashMap::new(),
        })
    }
}

impl Scope {
    /// Everything but the system's schemas and ours.
    pub fn everything() -> Self {
        Scope::default()
    }

    /// Whether no pattern leaves anything out.
    pub fn is_everything(&self) -> bool {
        let patterns = [
            &self.include_schemas,
            &self.exclude_schemas,
            &self.include_tables,
            &self.exclude_tables,
            &self.exclude_indexes,
            &self.exclude_data,
        ];
        patterns.iter().all(|patterns| patterns.is_empty())
    }

    /// From `schema.table` patterns with `*` and `?`; an empty `include` is everything.
    pub fn from_patterns(include: &[String], exclude: &[String]) -> Result<Self, LoadError> {
        let builder = ScopeBuilder {
            include_tables: include.to_vec(),
            exclude_tables: exclude.to_vec(),
            ..ScopeBuilder::default()
        };
        builder.build()
    }

    /// From the text of a pgcopydb filter file.
    pub fn from_ini(text: &str) -> Result<Self, LoadError> {
        ini::read(text)
    }

    /// Whether the schema's own objects (types, functions) are moved with its tables.
    pub fn covers_schema(&self, schema: &str) -> bool {
        if is_reserved(schema) || any(&self.exclude_schemas, schema, "") {
            return false;
        }
        let wholly_excluded = self
            .exclude_tables
            .iter()
            .any(|pattern| matches!(pattern.name, Part::Any) && pattern.schema.matches(schema));
        let by_schema = self.include_schemas.is_empty() || any(&self.include_schemas, schema, "");
        let by_table = self.include_tables.is_empty()
            || self
                .include_tables
                .iter()
                .any(|pattern| pattern.schema.matches(schema));
        by_schema && by_table && !wholly_excluded
    }

    /// The same for a server on which tables have other names: `known_as` gives, for those,
    /// the names that the patterns are about.
    #[must_use]
    pub fn seen_as(&self, known_as: HashMap<TableName, TableName>) -> Self {
        Scope {
            known_as,
            ..self.clone()
        }
    }

    fn meant<'a>(&'a self, table: &'a TableName) -> &'a TableName {
        self.known_as.get(table).unwrap_or(table)
    }

    /// Whether a table by itself is covered; its partition ancestors are not asked.
    pub fn covers_table(&self, table: &TableName) -> bool {
        let table = self.meant(table);
        let (schema, name) = (table.schema.as_str(), table.name.as_str());
        !self.excludes(table)
            && (self.include_schemas.is_empty() || any(&self.include_schemas, schema, ""))
            && (self.include_tables.is_empty() || any(&self.include_tables, schema, name))
    }

    pub(crate) fn excludes_table(&self, table: &TableName) -> bool {
        self.excludes(self.meant(table))
    }

    fn excludes(&self, table: &TableName) -> bool {
        let (schema, name) = (table.schema.as_str(), table.name.as_str());
        is_reserved(schema)
            || any(&self.exclude_schemas, schema, "")
            || any(&self.exclude_tables, schema, name)
    }

    /// Whether a table is covered, by its own name or as a partition: what excludes an
    /// ancestor excludes it, what includes an ancestor includes it.
    pub fn covers_partition(&self, table: &TableName, ancestors: &[&TableName]) -> bool {
        let mut line = std::iter::once(table).chain(ancestors.iter().copied());
        !self.excludes_table(table)
            && !ancestors
                .iter()
                .any(|ancestor| self.excludes_table(ancestor))
            && line.any(|name| self.covers_table(name))
    }

    /// Whether an index, or the constraint that carries it, is made.
    pub fn covers_index(&self, schema: &str, name: &str) -> bool {
        !any(&self.exclude_indexes, schema, name)
    }

    /// Whether the rows of a covered table are moved.
    pub fn covers_data(&self, table: &TableName) -> bool {
        let table = self.meant(table);
        !any(&self.exclude_data, &table.schema, &table.name)
    }

    /// Refuses a filter that matches none of the source's tables (and, for indexes, none
    /// of its `indexes`), naming the nearest one.
    pub(crate) fn refuse_unmatched(
        &self,
        tables: &[Table],
        indexes: &[TableName],
    ) -> Result<(), LoadError> {
        let by_table = [
            &self.include_tables,
            &self.exclude_tables,
            &self.exclude_data,
        ];
        let names = || tables.iter().map(|table| &table.name);
        for pattern in by_table.into_iter().flatten() {
            refuse(pattern, names(), ToString::to_string)?;
        }
        for pattern in self.include_schemas.iter().chain(&self.exclude_schemas) {
            refuse(pattern, names(), |name| name.schema.to_string())?;
        }
        for pattern in &self.exclude_indexes {
            refuse(pattern, indexes.iter(), ToString::to_string)?;
        }
        Ok(())
    }

    pub(crate) fn names_indexes(&self) -> bool {
        !self.exclude_indexes.is_empty()
    }

    /// The schemas of `all` that are left out as a whole by a pattern for schemas.
    pub(crate) fn excluded_schemas<'a>(&self, all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        all.filter(|schema| any(&self.exclude_schemas, schema, ""))
            .collect()
    }
}

fn refuse<'a>(
    pattern: &Pattern,
    names: impl Iterator<Item = &'a TableName> + Clone,
    show: impl Fn(&TableName) -> String,
) -> Result<(), LoadError> {
    if names
        .clone()
        .any(|name| pattern.matches(&name.schema, &name.name))
    {
        return Ok(());
    }
    let wanted = pattern.to_string();
    let nearest = names.map(show).min_by_key(|name| distance(&wanted, name));
    Err(LoadError::FilterMatchesNothing {
        pattern: wanted,
        nearest,
    })
}

fn any(patterns: &[Pattern], schema: &str, name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(schema, name))
}

/// Schemas that are the server's or ours.
pub(crate) fn is_reserved(schema: &str) -> bool {
    schema.starts_with("pg_") || schema == "information_schema" || schema == OWN_SCHEMA
}

/// How many characters must be changed, added or taken away (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, &to) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TableName {
        let (schema, table) = text.split_once('.').expect("schema.table");
        TableName::new(schema, table)
    }

    fn scope(include: &[&str], exclude: &[&str]) -> Scope {
        let own = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        Scope::from_patterns(&own(include), &own(exclude)).expect("patterns")
    }

    #[test]
    fn the_servers_schemas_and_ours_are_never_in_scope() {
        for table in [
            "pg_catalog.pg_class",
            "information_schema.x",
            "trunkline.journal",
            "pg_toast.t",
        ] {
            assert!(!scope(&["*.*"], &[]).covers_table(&name(table)), "{table}");
        }
    }

    #[test]
    fn a_partition_follows_its_ancestors() {
        let (leaf, root) = (name("public.orders_2024"), name("public.orders"));
        assert!(scope(&["public.orders"], &[]).covers_partition(&leaf, &[&root]));
        assert!(!scope(&[], &["public.orders"]).covers_partition(&leaf, &[&root]));
        assert!(!scope(&["public.orders"], &["public.orders_*"]).covers_partition(&leaf, &[&root]));
        assert!(scope(&["public.orders_2024"], &[]).covers_partition(&leaf, &[&root]));
    }

    #[test]
    fn a_filter_that_matches_nothing_names_the_nearest_table() {
        let tables = ["public.orders", "public.users"].map(|text| Table::bare(name(text)));
        let error = scope(&["public.ordrs"], &[])
            .refuse_unmatched(&tables, &[])
            .expect_err("none");
        let text = error.to_string();
        assert!(
            text.contains("public.ordrs") && text.contains("public.orders"),
            "{text}"
        );
        scope(&["public.o*"], &["public.users"])
            .refuse_unmatched(&tables, &[])
            .expect("both match");
    }

    #[test]
    fn a_schema_is_covered_when_a_table_of_it_may_be() {
        assert!(scope(&["public.*"], &[]).covers_schema("public"));
        assert!(!scope(&["public.*"], &[]).covers_schema("other"));
        assert!(!scope(&[], &["other.*"]).covers_schema("other"));
        assert!(scope(&[], &["other.x*"]).covers_schema("other"));
    }
}
