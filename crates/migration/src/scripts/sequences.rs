//! The script that sets every sequence to where it stands, `is_called` included.

use trunkline_changes::{TableName, quote_literal};
use trunkline_postgres::{PgError, Session};

/// Sequences read by one statement: each is a subquery of about 150 bytes and one lock, so the
/// text stays below 100 kB, and the locks within what a default server has to spare.
const SEQUENCES_AT_ONCE: usize = 500;

/// Where a sequence stands.
struct Position {
    name: TableName,
    last_value: i64,
    is_called: bool,
}

/// Reads every sequence of the database, and writes the script for another server.
pub async fn sequences(session: &mut Session) -> Result<String, PgError> {
    let rows = session
        .query(include_str!("../checks/sql/sequences.sql"), &[])
        .await?;
    let names: Result<Vec<_>, PgError> = rows
        .iter()
        .map(|row| {
            Ok(TableName {
                schema: row.get(0)?,
                name: row.get(1)?,
            })
        })
        .collect();
    let names = names?;
    let mut positions = Vec::with_capacity(names.len());
    for some in names.chunks(SEQUENCES_AT_ONCE) {
        for row in session.query(&read_statement(some), &[]).await? {
            let index: usize = row.get::<u32>(0)? as usize;
            let name = some
                .get(index)
                .cloned()
                .ok_or_else(|| PgError::Conversion {
                    what: "column 0".to_owned(),
                    why: "it is no number of a sequence that was asked for".to_owned(),
                })?;
            positions.push(Position {
                name,
                last_value: row.get(1)?,
                is_called: row.get(2)?,
            });
        }
    }
    Ok(write(&positions))
}

/// `pg_sequences` does not tell where a sequence stands that was set but never called, so each
/// is read itself.
fn read_statement(names: &[TableName]) -> String {
    let reads: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            format!(
                "SELECT {index}, last_value, is_called FROM {}",
                name.quoted()
            )
        })
        .collect();
    format!("{} ORDER BY 1", reads.join("\nUNION ALL "))
}

fn write(positions: &[Position]) -> String {
    if positions.is_empty() {
        return "-- There is no sequence.\n".to_owned();
    }
    let line = |position: &Position| {
        let Position {
            name,
            last_value,
            is_called,
        } = position;
        let name = quote_literal(&name.quoted());
        format!(
            "SELECT pg_catalog.setval({name}::pg_catalog.regclass, {last_value}, {is_called});\n"
        )
    };
    positions.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{Position, write};
    use trunkline_changes::TableName;

    #[test]
    fn a_sequence_that_was_never_called_stays_so() {
        let position = |name: &str, last_value, is_called| Position {
            name: TableName::new("public", name),
            last_value,
            is_called,
        };
        assert_eq!(
            write(&[position("a", 42, true), position("it's", -7, false)]),
            "SELECT pg_catalog.setval('\"public\".\"a\"'::pg_catalog.regclass, 42, true);\n\
             SELECT pg_catalog.setval('\"public\".\"it''s\"'::pg_catalog.regclass, -7, false);\n"
        );
        assert!(write(&[]).starts_with("--"));
    }
}
