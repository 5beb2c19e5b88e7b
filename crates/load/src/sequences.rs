//! Sequences: read on one side, set on the other, read back and compared. Called when
//! nothing draws from them any more.

use std::collections::HashMap;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{DataRow, OnSide, PgError, Session};

use crate::error::LoadError;
use crate::limits::{SEQUENCES_ASKED_AT_ONCE, SEQUENCES_AT_ONCE};
use crate::scope::Scope;

/// A sequence and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Its name.
    pub name: TableName,
    /// The type of its numbers: `smallint`, `integer` or `bigint`.
    pub data_type: String,
    /// Where it begins.
    pub start: i64,
    /// Its step.
    pub increment: i64,
    /// Its least number.
    pub min: i64,
    /// Its greatest number.
    pub max: i64,
    /// How many numbers a session takes at once.
    pub cache: i64,
    /// Whether it begins again at its end.
    pub cycle: bool,
    /// The table that owns it (serial and identity columns).
    pub owner: Option<TableName>,
    /// The column that it belongs to there.
    pub owner_column: Option<String>,
    /// The last number, or the next one if `is_called` is false.
    pub last_value: i64,
    /// Whether `last_value` was given out.
    pub is_called: bool,
}

/// A sequence that does not stand on the target as it does on the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceDifference {
    /// The target has none of that name.
    Missing {
        /// Its name.
        name: TableName,
    },
    /// It stands elsewhere.
    Position {
        /// Its name.
        name: TableName,
        /// `last_value` and `is_called` on the source.
        source: (i64, bool),
        /// The same on the target.
        target: (i64, bool),
    },
    /// It has other parameters.
    Parameters {
        /// Its name.
        name: TableName,
    },
}

impl std::fmt::Display for SequenceDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SequenceDifference::Missing { name } => write!(f, "{name} is missing"),
            SequenceDifference::Position {
                name,
                source,
                target,
            } => {
                write!(f, "{name} stands at {} and not at {}", target.0, source.0)
            }
            SequenceDifference::Parameters { name } => write!(f, "{name} has other parameters"),
        }
    }
}

const DOING: &str = "reading the sequences";

const LIST: &str = include_str!("sql/sequences.sql");

/// Which sequences are in scope that no table in scope owns or draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unowned {
    /// Those that no table owns and whose schema is in scope.
    BySchema,
    /// None.
    LeftOut,
}

/// Lists the sequences in scope, which every role may; where they stand is not read.
pub async fn list_sequences(
    session: &mut Session,
    side: Side,
    scope: &Scope,
    unowned: Unowned,
) -> Result<Vec<Sequence>, LoadError> {
    let rows = session.query(LIST, &[]).await.on(side, DOING)?;
    let mut sequences = Vec::new();
    for row in &rows {
        let found = sequence(row).on(side, DOING)?;
        let users: Vec<String> = row.get(11).on(side, DOING)?;
        if in_scope(&found, &users, scope, unowned) {
            sequences.push(found);
        }
    }
    Ok(sequences)
}

/// Reads where sequences stand: needs SELECT on each.
pub async fn read_sequence_positions(
    session: &mut Session,
    side: Side,
    sequences: &mut [Sequence],
) -> Result<(), LoadError> {
    for page in sequences.chunks_mut(SEQUENCES_AT_ONCE) {
        read_positions(session, page).await.on(side, DOING)?;
    }
    Ok(())
}

/// `users` are tables with their partition ancestors: schema and name by turns, a line
/// each.
fn in_scope(sequence: &Sequence, users: &[String], scope: &Scope, unowned: Unowned) -> bool {
    if scope.excludes_table(&sequence.name) {
        return false;
    }
    let used = users.iter().any(|line| {
        let parts: Vec<&str> = line.split('\n').collect();
        let names: Vec<TableName> = parts
            .chunks_exact(2)
            .map(|pair| TableName::new(pair[0], pair[1]))
            .collect();
        names.split_first().is_some_and(|(table, ancestors)| {
            scope.covers_partition(table, &ancestors.iter().collect::<Vec<_>>())
        })
    });
    let by_schema = unowned == Unowned::BySchema && sequence.owner.is_none();
    used || (by_schema && scope.covers_schema(&sequence.name.schema))
}

fn sequence(row: &DataRow) -> Result<Sequence, PgError> {
    let owner: (Option<String>, Option<String>) = (row.get(9)?, row.get(10)?);
    Ok(Sequence {
        name: row.table_name(0, 1)?,
        data_type: row.get(2)?,
        start: row.get(3)?,
        increment: row.get(4)?,
        min: row.get(5)?,
        max: row.get(6)?,
        cache: row.get(7)?,
        cycle: row.get(8)?,
        owner: owner
            .0
            .zip(owner.1)
            .map(|(schema, name)| TableName::new(schema, name)),
        owner_column: row.get(12)?,
        last_value: 0,
        is_called: false,
    })
}

/// Where sequences stand. The server's function says it of many at once, but not of one that was
/// never drawn from: that one is asked itself.
async fn read_positions(session: &mut Session, page: &mut [Sequence]) -> Result<(), PgError> {
    let names: Vec<String> = page.iter().map(|sequence| sequence.name.quoted()).collect();
    let sql = "SELECT place - 1, pg_catalog.pg_sequence_last_value(name::pg_catalog.regclass) \
               FROM unnest($1::text[]) WITH ORDINALITY AS s(name, place)";
    let mut unsaid = Vec::new();
    for row in session.query(sql, &[&names]).await? {
        let place = place(&row, page)?;
        match row.get(1)? {
            Some(last_value) => {
                page[place].last_value = last_value;
                page[place].is_called = true;
            }
            None => unsaid.push(place),
        }
    }
    for some in unsaid.chunks(SEQUENCES_ASKED_AT_ONCE) {
        let parts = some.iter().map(|&place| {
            let name = &names[place];
            format!("SELECT {place}::bigint, last_value, is_called FROM {name}")
        });
        let sql = parts.collect::<Vec<_>>().join(" UNION ALL ");
        for row in session.query(&sql, &[]).await? {
            let place = place(&row, page)?;
            page[place].last_value = row.get(1)?;
            page[place].is_called = row.get(2)?;
        }
    }
    Ok(())
}

/// Which of the page a row is about.
fn place(row: &DataRow, page: &[Sequence]) -> Result<usize, PgError> {
    let place = usize::try_from(row.get::<i64>(0)?).unwrap_or(usize::MAX);
    if place < page.len() {
        Ok(place)
    } else {
        Err(PgError::Conversion {
            what: "a sequence's place".to_owned(),
            why: "a number of the list was expected".to_owned(),
        })
    }
}

/// Sets sequences of the other side to where these stand, some to a transaction: each is locked
/// until its transaction ends. That all of them are set shows when they are read back, not here.
pub async fn set_sequences(
    session: &mut Session,
    side: Side,
    sequences: &[Sequence],
) -> Result<(), LoadError> {
    let sql = "SELECT count(pg_catalog.setval(name::pg_catalog.regclass, value, is_called)) \
               FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS s(name, value, is_called)";
    for some in sequences.chunks(SEQUENCES_AT_ONCE) {
        let names: Vec<String> = some.iter().map(|s| s.name.quoted()).collect();
        let values: Vec<i64> = some.iter().map(|s| s.last_value).collect();
        let called: Vec<bool> = some.iter().map(|s| s.is_called).collect();
        let set = session.query(sql, &[&names, &values, &called]).await;
        set.on(side, "setting the sequences")?;
    }
    Ok(())
}

/// What stands differently: pure. Sequences that only the target has do not count.
pub fn compare_sequences(source: &[Sequence], target: &[Sequence]) -> Vec<SequenceDifference> {
    let there: HashMap<&TableName, &Sequence> = target
        .iter()
        .map(|sequence| (&sequence.name, sequence))
        .collect();
    let mut differences = Vec::new();
    for sequence in source {
        let name = sequence.name.clone();
        let Some(other) = there.get(&sequence.name) else {
            differences.push(SequenceDifference::Missing { name });
            continue;
        };
        let position = |sequence: &Sequence| (sequence.last_value, sequence.is_called);
        if position(sequence) != position(other) {
            let (source, target) = (position(sequence), position(other));
            differences.push(SequenceDifference::Position {
                name: name.clone(),
                source,
                target,
            });
        }
        let parameters = |s: &Sequence| {
            (
                s.data_type.clone(),
                s.start,
                s.increment,
                s.min,
                s.max,
                s.cycle,
            )
        };
        if parameters(sequence) != parameters(other) {
            differences.push(SequenceDifference::Parameters { name });
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(name: &str, last_value: i64, is_called: bool) -> Sequence {
        Sequence {
            name: TableName::new("public", name),
            data_type: "bigint".into(),
            start: 1,
            increment: 1,
            min: 1,
            max: i64::MAX,
            cache: 1,
            cycle: false,
            owner: None,
            owner_column: None,
            last_value,
            is_called,
        }
    }

    #[test]
    fn a_number_not_yet_given_out_is_a_difference() {
        let (source, target) = (sequence("s", 5, true), sequence("s", 5, false));
        let differences =
            compare_sequences(std::slice::from_ref(&source), std::slice::from_ref(&target));
        assert_eq!(
            differences,
            [SequenceDifference::Position {
                name: source.name.clone(),
                source: (5, true),
                target: (5, false)
            }]
        );
        assert_eq!(
            compare_sequences(std::slice::from_ref(&source), std::slice::from_ref(&source)),
            []
        );
        assert!(matches!(
            compare_sequences(&[source], &[])[..],
            [SequenceDifference::Missing { .. }]
        ));
    }

    #[test]
    fn a_sequence_goes_with_the_tables_that_draw_from_it() {
        let scope = Scope::from_patterns(&["app.orders".to_owned()], &[]).expect("patterns");
        let in_scope = |sequence: &Sequence, users: &[String], scope: &Scope| {
            super::in_scope(sequence, users, scope, Unowned::BySchema)
        };
        let mut other = sequence("numbers", 1, true);
        let of = |line: &str| vec![line.to_owned()];
        assert!(
            in_scope(&other, &of("app\norders"), &scope),
            "drawn from by a default"
        );
        assert!(
            in_scope(&other, &of("app\norders_1\napp\norders"), &scope),
            "by a partition"
        );
        assert!(!in_scope(&other, &of("app\nothers"), &scope));
        other.name = TableName::new("app", "numbers");
        assert!(
            in_scope(&other, &[], &scope),
            "owned by none, in a covered schema"
        );
        assert!(!super::in_scope(&other, &[], &scope, Unowned::LeftOut));
        other.owner = Some(TableName::new("app", "others"));
        assert!(!in_scope(&other, &of("app\nothers"), &scope));
    }
}
