//! What is to be done for one change of structure: pure. What adds something that no row can
//! miss is replayed; what rows that follow may not fit stops the stream; the rest is for an
//! operator to look at, and does not hold the stream up.

use super::message::{Column, Constraint, Labels};
use trunkline_changes::{TableName, quote_ident, quote_literal};

/// What is to be done, and what is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    /// Statements to run on the target, in order.
    pub(crate) run: Vec<String>,
    /// Why an operator is to look at it.
    pub(crate) open: Vec<String>,
    /// Why the stream cannot go on.
    pub(crate) stop: Vec<String>,
    /// Something was compared and found as it should be.
    pub(crate) fits: bool,
}

impl Judged {
    pub(crate) fn open(why: impl Into<String>) -> Self {
        Judged {
            open: vec![why.into()],
            ..Judged::default()
        }
    }

    pub(crate) fn stop(why: impl Into<String>) -> Self {
        Judged {
            stop: vec![why.into()],
            ..Judged::default()
        }
    }

    pub(crate) fn run(statement: String) -> Self {
        Judged {
            run: vec![statement],
            ..Judged::default()
        }
    }

    pub(crate) fn fits() -> Self {
        Judged {
            fits: true,
            ..Judged::default()
        }
    }

    /// Both.
    pub(crate) fn and(mut self, other: Judged) -> Self {
        self.run.extend(other.run);
        self.open.extend(other.open);
        self.stop.extend(other.stop);
        self.fits |= other.fits;
        self
    }

    /// Whether nothing is to be done.
    pub(crate) fn is_nothing(&self) -> bool {
        self.run.is_empty() && self.open.is_empty() && self.stop.is_empty()
    }
}

/// Whether the copy of a table was read after the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    Before,
    After,
}

/// Compares a table as the source has it after the change with the target's.
pub(crate) fn columns(
    table: &TableName,
    source: &[Column],
    target: &[Column],
    copied: Copied,
) -> Judged {
    let on = |columns: &[Column], name: &str| columns.iter().any(|column| column.name == name);
    let missing: Vec<&Column> = source.iter().filter(|c| !on(target, &c.name)).collect();
    let beyond: Vec<&str> = target
        .iter()
        .filter(|column| !on(source, &column.name))
        .map(|column| column.name.as_str())
        .collect();
    let names = |columns: &[&Column]| {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        names.join(", ")
    };
    if !missing.is_empty() && copied == Copied::After {
        return Judged::stop(format!(
            "{table} got {} between the reading of its structure and the copy of its rows, which \
             lacks it: abort and run again",
            names(&missing)
        ));
    }
    if !missing.is_empty() && !beyond.is_empty() {
        return Judged::stop(format!(
            "{table} has {} on the source and {} on the target: renamed, or dropped and added",
            names(&missing),
            beyond.join(", ")
        ));
    }
    let mut judged = Judged::fits();
    for column in source {
        let there = target.iter().find(|there| there.name == column.name);
        judged = judged.and(match there {
            None => added(table, column),
            Some(there) => changed(table, column, there, copied),
        });
    }
    judged
}

/// Whether the target's foreign keys are there: they are made once the copy is caught up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignKeys {
    /// They are.
    There,
    /// Not yet.
    NotYet,
}

/// The constraints of a table that the target lacks, by name. `had` are the target's columns
/// before the change.
pub(crate) fn constraints(
    table: &TableName,
    source: &[Constraint],
    target: &[String],
    had: &[Column],
    foreign_keys: ForeignKeys,
) -> Judged {
    let is_new = |name: &String| !had.iter().any(|column| column.name == *name);
    let of_new = |constraint: &Constraint| {
        let columns = constraint.columns.as_deref().unwrap_or_default();
        columns.iter().any(is_new)
    };
    let due = |constraint: &&Constraint| {
        foreign_keys == ForeignKeys::There || !constraint.foreign || of_new(constraint)
    };
    let missing = source
        .iter()
        .filter(|constraint| !target.contains(&constraint.name))
        .filter(due);
    let open = missing.map(|Constraint { name, says, .. }| {
        format!("{table} has no constraint {name} on the target: {says}")
    });
    Judged {
        open: open.collect(),
        ..Judged::default()
    }
}

fn alter(table: &TableName, column: &str, how: &str) -> String {
    let (table, column) = (table.quoted(), quote_ident(column));
    format!("ALTER TABLE {table} ALTER COLUMN {column} {how}")
}

fn added(table: &TableName, column: &Column) -> Judged {
    let name = &column.name;
    if !column.identity.is_empty() || !column.generated.is_empty() {
        return Judged::stop(format!(
            "{name} of {table} is an identity or generated column"
        ));
    }
    if column.expression.is_some() && column.given.is_none() {
        return Judged::stop(format!(
            "{name} of {table} has a default that may differ from row to row, or that rows before \
             it did not get"
        ));
    }
    let mut sql = format!(
        "ALTER TABLE {} ADD COLUMN {} {}",
        table.quoted(),
        quote_ident(name),
        column.type_sql
    );
    if let Some(collation) = &column.collation {
        sql.extend([" COLLATE ", collation]);
    }
    if let Some(given) = &column.given {
        let value = format!(" DEFAULT {}::{}", quote_literal(given), column.type_sql);
        sql.push_str(&value);
    }
    if column.not_null {
        sql.push_str(" NOT NULL");
    }
    let mut judged = Judged::run(sql);
    let afterwards = match (&column.given, &column.expression) {
        (_, Some(default)) => format!("SET DEFAULT {default}"),
        (Some(_), None) => "DROP DEFAULT".to_owned(),
        (None, None) => return judged,
    };
    judged.run.push(alter(table, name, &afterwards));
    judged
}

fn changed(table: &TableName, source: &Column, target: &Column, copied: Copied) -> Judged {
    let name = &source.name;
    if source.generated != target.generated
        || (!source.generated.is_empty() && source.expression != target.expression)
    {
        return Judged::stop(format!("{name} of {table} is generated in another way"));
    }
    let mut judged = Judged::default();
    if source.type_sql != target.type_sql {
        if widens(&target.type_sql, &source.type_sql) {
            let how = format!("TYPE {}", source.type_sql);
            judged.run.push(alter(table, name, &how));
        } else if copied == Copied::Before {
            judged.stop.push(format!(
                "{name} of {table} is {} on the source and {} on the target",
                source.type_sql, target.type_sql
            ));
        }
    }
    if source.generated.is_empty() && source.expression != target.expression {
        let how = match &source.expression {
            Some(default) => format!("SET DEFAULT {default}"),
            None => "DROP DEFAULT".to_owned(),
        };
        judged.run.push(alter(table, name, &how));
    }
    match (source.not_null, target.not_null) {
        (false, true) => judged.run.push(alter(table, name, "DROP NOT NULL")),
        (true, false) => judged
            .open
            .push(format!("{name} of {table} is NOT NULL on the source only")),
        _ => {}
    }
    if source.identity != target.identity || source.collation != target.collation {
        let what = format!("{name} of {table} differs in its identity or collation");
        judged.open.push(what);
    }
    judged
}

/// Whether every value of a character type fits another one as it is.
fn widens(from: &str, to: &str) -> bool {
    let limit = |text: &str| -> Option<Option<u64>> {
        if text == "text" || text == "character varying" {
            return Some(None);
        }
        let digits = text.strip_prefix("character varying(")?.strip_suffix(')')?;
        digits.parse().ok().map(Some)
    };
    match (limit(from), limit(to)) {
        (Some(_), Some(None)) => true,
        (Some(Some(from)), Some(Some(to))) => from <= to,
        _ => false,
    }
}

/// Compares an enum's values with the target's.
pub(crate) fn labels(source: &Labels, target: &[String]) -> Judged {
    let name = TableName::new(&source.schema, &source.name);
    let ours = source.values.as_deref().unwrap_or_default();
    if target.iter().any(|label| !ours.contains(label)) {
        return Judged::stop(format!(
            "the type {name} has a value on the target that the source has no more: renamed"
        ));
    }
    let mut judged = Judged::fits();
    let mut before: Option<&String> = None;
    for label in ours {
        if !target.contains(label) {
            let place = match (before, target.first()) {
                (Some(before), _) => format!(" AFTER {}", quote_literal(before)),
                (None, Some(first)) => format!(" BEFORE {}", quote_literal(first)),
                (None, None) => String::new(),
            };
            let (name, label) = (name.quoted(), quote_literal(label));
            judged
                .run
                .push(format!("ALTER TYPE {name} ADD VALUE {label}{place}"));
        }
        before = Some(label);
    }
    judged
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
