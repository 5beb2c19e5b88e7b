//! The checksum of a part of a table, computed by the server that holds it: every row becomes
//! 64 bits, and those a sum, which does not depend on the order of rows and counts
//! duplicates.

use trunkline_changes::TableName;
use trunkline_postgres::{PgError, Session};

use crate::comparison::End;
use crate::shape::{Rows, Shape};

/// What a part of a table holds.
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

fn statement(shape: &Shape, table: &TableName, end: End, rows: &Rows) -> String {
    format!(
        "SELECT count(*), coalesce(sum({hash}), 0)::text FROM {table}{selection}",
        hash = shape.row_hash(),
        table = shape.comparison.from_item(end, table),
        selection = shape.selection(end, rows),
    )
}

/// Computes the checksum of a part in the session's current snapshot.
pub(crate) async fn checksum(
    session: &mut Session,
    shape: &Shape,
    table: &TableName,
    end: End,
    rows: &Rows,
) -> Result<Checksum, PgError> {
    let row = session
        .query_one(&statement(shape, table, end, rows), &[])
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
