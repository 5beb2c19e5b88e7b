//! Sequences: read on one side, set on the other, read back and compared. Called when
//! nothing draws from them any more.

use std::collections::HashMap;

use trunkline_changes::{Side, TableName, quote_literal};
use trunkline_postgres::{DataRow, OnSide, PgError, Session};

use crate::error::LoadError;
use crate::limits::NAMES_PER_QUERY;
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

/// Reads every sequence in scope: those that tables in scope own or draw from, and those
/// that no table owns whose schema is in scope.
pub async fn read_sequences(
    session: &mut Session,
    side: Side,
    scope: &Scope,
) -> Result<Vec<Sequence>, LoadError> {
    let mut sequences = list_sequences(session, side, scope, Unowned::BySchema).await?;
    read_sequence_positions(session, side, &mut sequences).await?;
    Ok(sequences)
}

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
    for page in sequences.chunks_mut(NAMES_PER_QUERY.min(1_000)) {
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
        name: TableName::new(row.get::<String>(0)?, row.get::<String>(1)?),
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

/// The positions stand in the sequences themselves: one query for many of them.
async fn read_positions(session: &mut Session, page: &mut [Sequence]) -> Result<(), PgError> {
    let parts: Vec<String> = page
        .iter()
        .enumerate()
        .map(|(place, sequence)| {
            format!(
                "SELECT {place}, last_value, is_called FROM {}",
                sequence.name.quoted()
            )
        })
        .collect();
    if parts.is_empty() {
        return Ok(());
    }
    for row in session.query(&parts.join(" UNION ALL "), &[]).await? {
        let place = usize::try_from(row.get::<i64>(0)?).unwrap_or(usize::MAX);
        let sequence = page.get_mut(place).ok_or_else(|| PgError::Conversion {
            what: "a sequence's place".to_owned(),
            why: "a number of the list was expected".to_owned(),
        })?;
        sequence.last_value = row.get(1)?;
        sequence.is_called = row.get(2)?;
    }
    Ok(())
}

/// Sets sequences of the other side to where these stand, all in one transaction.
pub async fn set_sequences(
    session: &mut Session,
    side: Side,
    sequences: &[Sequence],
) -> Result<(), LoadError> {
    let mut sql = String::from("BEGIN;\n");
    for sequence in sequences {
        sql.push_str(&setval_sql(sequence));
    }
    sql.push_str("COMMIT;");
    let set = session.batch(&sql).await;
    if set.is_err() && !session.is_broken() {
        // The failed transaction must not stay open on a session that goes on.
        session
            .batch("ROLLBACK")
            .await
            .on(side, "setting the sequences")?;
    }
    set.on(side, "setting the sequences")?;
    Ok(())
}

/// The statement that sets a sequence to where this one stands.
pub fn setval_sql(sequence: &Sequence) -> String {
    format!(
        "SELECT pg_catalog.setval({}::pg_catalog.regclass, {}, {});\n",
        quote_literal(&sequence.name.quoted()),
        sequence.last_value,
        sequence.is_called
    )
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

    #[test]
    fn an_odd_name_is_set_by_its_quoted_name() {
        let sql = setval_sql(&sequence("o'dd \"s\"", 7, false));
        assert_eq!(
            sql,
            "SELECT pg_catalog.setval('\"public\".\"o''dd \"\"s\"\"\"'::pg_catalog.regclass, 7, false);\n"
        );
    }
}
