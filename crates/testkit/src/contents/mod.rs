//! What a database holds, compared exactly: rows by checksum, sequences, and the catalogs.
//!
//! Rows are compared as text under pinned output settings, so that `1.0` and `1.00`, `-0` and
//! `0`, and letters that a collation takes for equal are told apart. Columns go by name, so that
//! dropped ones and their order do not matter. Generated columns count.

mod catalog;
mod difference;

use std::collections::BTreeMap;

use tokio_postgres::Client;

use crate::cluster::ok;

pub use catalog::catalog;
pub use difference::assert_same_contents;

const TABLES: &str = include_str!("../../sql/contents_tables.sql");
const SEQUENCES: &str = include_str!("../../sql/contents_sequences.sql");

/// Settings that decide how values look as text; the empty search path qualifies every name.
const PIN_OUTPUT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; \
    SET LOCAL search_path = ''; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; \
    SET LOCAL IntervalStyle = 'postgres'; SET LOCAL bytea_output = 'hex'; \
    SET LOCAL extra_float_digits = 1; SET LOCAL lc_monetary = 'C'; \
    SET LOCAL statement_timeout = 0; SET LOCAL row_security = off";

/// The rows of one table, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many rows there are.
    pub rows: i64,
    /// MD5 over the sorted MD5s of all rows; `None` without rows.
    pub hash: Option<String>,
}

/// Where a sequence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequencePosition {
    /// Its `last_value`.
    pub last_value: i64,
    /// Whether `last_value` was handed out.
    pub is_called: bool,
}

/// Fingerprints of all tables in some schemas, by quoted name; of all user schemas but
/// `trunkline` when none is named. Partitions and inheriting tables count by themselves.
pub async fn fingerprint(client: &Client, schemas: &[&str]) -> BTreeMap<String, Fingerprint> {
    ok("pin settings", client.batch_execute(PIN_OUTPUT).await);
    let mut fingerprints = BTreeMap::new();
    for (table, row) in tables(client, schemas).await {
        let query = format!(
            "SELECT count(*), pg_catalog.md5(pg_catalog.string_agg(h, '' ORDER BY h)) \
             FROM (SELECT pg_catalog.md5(({row})::text) COLLATE \"C\" AS h FROM ONLY {table}) AS hashes"
        );
        let found = ok("fingerprint a table", client.query_one(&query, &[]).await);
        let fingerprint = Fingerprint {
            rows: found.get(0),
            hash: found.get(1),
        };
        fingerprints.insert(table, fingerprint);
    }
    ok("end the snapshot", client.batch_execute("COMMIT").await);
    fingerprints
}

/// All sequences of user schemas and where they stand, by quoted name.
pub async fn sequences(client: &Client) -> BTreeMap<String, SequencePosition> {
    let names = ok("list sequences", client.query(SEQUENCES, &[]).await);
    let mut positions = BTreeMap::new();
    for name in names {
        let name: String = name.get(0);
        let query = format!("SELECT last_value, is_called FROM {name}");
        let found = ok("read a sequence", client.query_one(&query, &[]).await);
        let position = SequencePosition {
            last_value: found.get(0),
            is_called: found.get(1),
        };
        positions.insert(name, position);
    }
    positions
}

/// Each table's quoted name with a `ROW(...)` expression of its columns by name.
async fn tables(client: &Client, schemas: &[&str]) -> Vec<(String, String)> {
    let found = ok("list tables", client.query(TABLES, &[&schemas]).await);
    found
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect()
}
