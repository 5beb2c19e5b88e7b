//! The SQL of row changes: one text for each shape, with the list of the values it takes.
//! The same builder writes a statement for one row (`$1::type`) and for a set of rows
//! (`v.c0`, from `unnest`).

use std::fmt::Write as _;

use trunkline_changes::Ident;

use crate::route::{Compare, Lookup, Route};
use crate::shape::{Shape, Verb};
use crate::table::{Operator, TableKind, TargetColumn, Written};

/// Where a parameter's value comes from: a column of the new row, or of the old one (the
/// one that the key is read from).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    New(usize),
    Old(usize),
}

/// A statement's text and its parameters in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) sql: String,
    pub(crate) slots: Vec<Slot>,
}

/// Whether a statement takes one row or a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    One,
    Set,
}

/// Writes the statement of a shape.
pub(crate) fn template(route: &Route, shape: &Shape, rows: Rows) -> Template {
    let mut builder = Builder {
        route,
        rows,
        slots: Vec::new(),
    };
    let sql = match shape.verb {
        Verb::Insert => builder.insert(),
        Verb::Update => builder.update(shape),
        Verb::Replace => builder.replace(shape),
        Verb::Delete => builder.delete(shape),
    };
    Template {
        sql,
        slots: builder.slots,
    }
}

/// `COPY` of the columns that an insert writes.
pub(crate) fn copy_in(route: &Route) -> Template {
    let sources = inserted(route);
    let names: Vec<String> = sources.iter().map(|&source| name(route, source)).collect();
    Template {
        sql: format!(
            "COPY {} ({}) FROM STDIN",
            route.target.name.quoted(),
            names.join(", ")
        ),
        slots: sources.into_iter().map(Slot::New).collect(),
    }
}

/// The relation's columns that an insert writes.
pub(crate) fn inserted(route: &Route) -> Vec<usize> {
    (0..route.columns.len())
        .filter(|&source| route.written(source) != Written::Never)
        .collect()
}

fn name(route: &Route, source: usize) -> String {
    Ident(&route.placed(source).name).to_string()
}

struct Builder<'r> {
    route: &'r Route,
    rows: Rows,
    slots: Vec<Slot>,
}

impl Builder<'_> {
    /// The next parameter, as an expression of its column's type.
    fn value(&mut self, slot: Slot) -> String {
        let number = self.slots.len();
        self.slots.push(slot);
        let value = &self.column(slot).value;
        match (self.rows, &value.array) {
            (Rows::One, _) => format!("${}::{}", number + 1, value.cast),
            (Rows::Set, Some(_)) => format!("v.c{number}"),
            (Rows::Set, None) => format!("v.c{number}::{}", value.cast),
        }
    }

    fn column(&self, slot: Slot) -> &TargetColumn {
        let (Slot::New(source) | Slot::Old(source)) = slot;
        self.route.placed(source)
    }

    /// `unnest(…) AS v(…)` of every parameter so far.
    fn unnested(&self) -> String {
        let mut arrays = String::new();
        let mut names = String::new();
        for (number, slot) in self.slots.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            let cast = match &self.column(*slot).value.array {
                Some(array) => array.cast.as_str(),
                None => "pg_catalog.text[]",
            };
            // Writing to a String cannot fail.
            let _written = write!(arrays, "{separator}${}::{cast}", number + 1);
            let _written = write!(names, "{separator}c{number}");
        }
        format!("unnest({arrays}) AS v({names})")
    }

    fn insert(&mut self) -> String {
        let table = self.route.target.name.quoted();
        let sources = inserted(self.route);
        if sources.is_empty() {
            return format!("INSERT INTO {table} DEFAULT VALUES");
        }
        let names: Vec<String> = sources
            .iter()
            .map(|&source| name(self.route, source))
            .collect();
        let values: Vec<String> = sources
            .iter()
            .map(|&source| self.value(Slot::New(source)))
            .collect();
        let (names, values) = (names.join(", "), values.join(", "));
        let head = format!("INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE");
        match self.rows {
            Rows::One => format!("{head} VALUES ({values})"),
            Rows::Set => format!("{head} SELECT {values} FROM {}", self.unnested()),
        }
    }

    fn update(&mut self, shape: &Shape) -> String {
        let (mut set, mut same) = (Vec::new(), Vec::new());
        for source in (0..self.route.columns.len()).filter(|&source| shape.sent.holds(source)) {
            let name = name(self.route, source);
            let value = self.value(Slot::New(source));
            if self.route.written(source) == Written::ByInsert {
                same.push(format!(" AND t.{name} OPERATOR(pg_catalog.=) {value}"));
            } else {
                set.push(format!("{name} = {value}"));
            }
        }
        if set.is_empty() {
            set.extend(self.idle_assignment());
        }
        let condition = self.condition(shape);
        let from = match self.rows {
            Rows::One => String::new(),
            Rows::Set => format!(" FROM {}", self.unnested()),
        };
        format!(
            "UPDATE {} AS t SET {}{from} WHERE {condition}{}",
            self.route.target.only(),
            set.join(", "),
            same.concat()
        )
    }

    /// Changes nothing, and still counts the row.
    fn idle_assignment(&self) -> Option<String> {
        let mut columns = self.route.target.columns.iter();
        let column = columns.find(|column| column.written == Written::Freely)?;
        Some(format!("{0} = t.{0}", Ident(&column.name)))
    }

    fn replace(&mut self, shape: &Shape) -> String {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for target in 0..self.route.target.columns.len() {
            let column = &self.route.target.columns[target];
            if column.written == Written::Never {
                continue;
            }
            let name = Ident(&column.name).to_string();
            let source = self
                .route
                .columns
                .iter()
                .position(|&mapped| mapped == Some(target));
            values.push(match source {
                Some(source) if shape.sent.holds(source) => self.value(Slot::New(source)),
                _ => format!("gone.{name}"),
            });
            names.push(name);
        }
        let condition = self.condition(shape);
        format!(
            "WITH gone AS (DELETE FROM {} AS t WHERE {condition} RETURNING t.*) \
             INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM gone",
            self.route.target.only(),
            self.route.target.name.quoted(),
            names.join(", "),
            values.join(", ")
        )
    }

    fn delete(&mut self, shape: &Shape) -> String {
        let condition = self.condition(shape);
        let from = match self.rows {
            Rows::One => String::new(),
            Rows::Set => format!(" USING {}", self.unnested()),
        };
        format!(
            "DELETE FROM {} AS t{from} WHERE {condition}",
            self.route.target.only()
        )
    }

    /// What finds the row.
    fn condition(&mut self, shape: &Shape) -> String {
        let route = self.route;
        match &route.lookup {
            Lookup::Key(key) => {
                let parts: Vec<String> = key
                    .iter()
                    .map(|column| {
                        let name = format!("t.{}", name(route, column.source));
                        let value = self.value(Slot::Old(column.source));
                        compared(&name, &column.compare, &value)
                    })
                    .collect();
                parts.join(" AND ")
            }
            Lookup::WholeRow => self.whole_row(shape),
            Lookup::Never => "false".to_owned(),
        }
    }

    /// One of the rows with exactly these values, by its place.
    fn whole_row(&mut self, shape: &Shape) -> String {
        let mut parts = Vec::new();
        for source in 0..self.route.columns.len() {
            if shape.old_unsent.holds(source) || self.route.written(source) == Written::Never {
                continue;
            }
            let name = format!("o.{}", name(self.route, source));
            // IS NULL would look into composite values.
            if shape.old_nulls.holds(source) {
                parts.push(format!("{name} IS NOT DISTINCT FROM NULL"));
                continue;
            }
            let exact = self.route.placed(source).value.exact;
            let value = self.value(Slot::Old(source));
            parts.push(if exact {
                compared(&name, &Compare::By(Operator::builtin_equality()), &value)
            } else {
                let same = compared(&name, &Compare::AsText, &value);
                format!("{name} IS DISTINCT FROM NULL AND {same}")
            });
        }
        if parts.is_empty() {
            parts.push("true".to_owned());
        }
        let (table, found) = (self.route.target.only(), parts.join(" AND "));
        match self.route.target.kind {
            TableKind::Plain => {
                format!("t.ctid = (SELECT o.ctid FROM {table} AS o WHERE {found} LIMIT 1)")
            }
            TableKind::Partitioned => format!(
                "(t.tableoid, t.ctid) = (SELECT o.tableoid, o.ctid FROM {table} AS o WHERE {found} LIMIT 1)"
            ),
        }
    }
}

/// A column compared with a value. Texts are what the type's output function prints (a cast
/// to text would strip char padding and spell booleans), compared byte by byte.
fn compared(column: &str, compare: &Compare, value: &str) -> String {
    match compare {
        Compare::By(operator) => format!("{column} {} {value}", operator.sql()),
        Compare::AsText => format!(
            "pg_catalog.format('%s', {column}) COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.=) \
             pg_catalog.format('%s', {value})"
        ),
    }
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
