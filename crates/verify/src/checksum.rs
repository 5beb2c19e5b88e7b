//! One table's checksum, computed by the server that holds it.
//!
//! Every row becomes the text of its columns in one order (`ROW(…)::text`, so that NULL and
//! the empty string differ and no value runs into the next), the text a 64-bit hash, and the
//! hashes a sum. The sum does not depend on the order of rows and counts duplicates; the
//! text is exact where an equality is not (`1.0` and `1.00`, `-0` and `0`, citext), because
//! sessions pin the output of every type. `hashtextextended` gives the same values on all
//! versions from 11 on (hash partitioning rests on it) on machines of one byte order.

use trunkline_changes::{TableName, quote_ident};
use trunkline_postgres::{PgError, Session};

/// What one table holds.
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct Checksum {
    /// Rows.
    pub rows: u64,
    /// The sum of the rows' hashes: parts of a table add up to the whole.
    pub sum: i128,
}

impl Checksum {
    /// The checksum of two disjoint sets of rows.
    #[must_use]
    pub fn and(&self, other: &Checksum) -> Checksum {
        Checksum {
            rows: self.rows + other.rows,
            sum: self.sum.wrapping_add(other.sum),
        }
    }
}

/// Which rows of a table are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The table's own rows, without those of tables that inherit from it.
    Only,
    /// The rows of all its partitions.
    WithPartitions,
}

/// The statement that computes a table's checksum over the named columns.
fn statement(table: &TableName, reading: Reading, columns: &[String]) -> String {
    let list: Vec<String> = columns
        .iter()
        .map(|name| format!("t.{}", quote_ident(name)))
        .collect();
    let only = match reading {
        Reading::Only => "ONLY ",
        Reading::WithPartitions => "",
    };
    format!(
        "SELECT count(*), coalesce(sum(hashtextextended(\
         CAST(ROW({columns}) AS text) COLLATE pg_catalog.\"C\", 0)), 0)::text \
         FROM {only}{table} AS t",
        columns = list.join(", "),
        table = table.quoted(),
    )
}

/// Computes a table's checksum in the session's current snapshot.
pub async fn checksum(
    session: &mut Session,
    table: &TableName,
    reading: Reading,
    columns: &[String],
) -> Result<Checksum, PgError> {
    let row = session
        .query_one(&statement(table, reading, columns), &[])
        .await?;
    let sum: String = row.get(1)?;
    Ok(Checksum {
        rows: row.get(0)?,
        // 2^63 rows of 2^63 each fit into an i128.
        sum: sum.parse().map_err(|_| PgError::Conversion {
            what: "the checksum".to_owned(),
            why: "an integer".to_owned(),
        })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_inheritance_is_left_out() {
        let table = TableName::new("s", "a\"b");
        let sql = statement(&table, Reading::Only, &["Q".to_owned()]);
        assert!(sql.contains("FROM ONLY \"s\".\"a\"\"b\" AS t"), "{sql}");
        assert!(sql.contains("ROW(t.\"Q\")"), "{sql}");
    }
}
