//! A readable account of how two databases differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tokio_postgres::Client;

use super::{Fingerprint, PIN_OUTPUT, fingerprint, tables};
use crate::cluster::ok;

/// How many differing rows are shown of each side of a table.
const ROWS_SHOWN: usize = 5;
/// How much of a row is shown.
const CHARACTERS_SHOWN: usize = 300;

/// Asserts that both databases hold the same rows in the same tables of their user schemas.
///
/// The panic names each table that differs, with up to five rows that only one side has.
pub async fn assert_same_contents(source: &Client, target: &Client) {
    let on_source = fingerprint(source, &[]).await;
    let on_target = fingerprint(target, &[]).await;
    assert!(!on_source.is_empty(), "the source has no tables to compare");
    let mut report = String::new();
    for (table, expected) in &on_source {
        match on_target.get(table) {
            None => line(&mut report, &format!("{table}: missing on the target")),
            Some(found) if found != expected => {
                describe(&mut report, table, expected, found);
                show_rows(&mut report, table, source, target).await;
            }
            Some(_) => {}
        }
    }
    for table in on_target
        .keys()
        .filter(|name| !on_source.contains_key(*name))
    {
        line(&mut report, &format!("{table}: only on the target"));
    }
    assert!(report.is_empty(), "the contents differ:\n{report}");
}

fn describe(report: &mut String, table: &str, expected: &Fingerprint, found: &Fingerprint) {
    let (source, target) = (expected.rows, found.rows);
    line(
        report,
        &format!("{table}: {source} rows on the source, {target} on the target"),
    );
}

async fn show_rows(report: &mut String, table: &str, source: &Client, target: &Client) {
    let on_source = hashes(source, table).await;
    let on_target = hashes(target, table).await;
    let sides = [
        ("source", source, surplus(&on_source, &on_target)),
        ("target", target, surplus(&on_target, &on_source)),
    ];
    for (side, client, wanted) in sides {
        for row in rows(client, table, &wanted).await {
            let shown: String = row.chars().take(CHARACTERS_SHOWN).collect();
            line(report, &format!("  only on the {side}: {shown}"));
        }
    }
}

/// The rows' hashes with how often each occurs.
async fn hashes(client: &Client, table: &str) -> BTreeMap<String, i64> {
    let expression = row_expression(client, table).await;
    let query = format!("SELECT md5(({expression})::text), count(*) FROM ONLY {table} GROUP BY 1");
    let found = ok("hash the rows", client.query(&query, &[]).await);
    ok("end the snapshot", client.batch_execute("COMMIT").await);
    found
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect()
}

/// Hashes that one side has more often than the other.
fn surplus(here: &BTreeMap<String, i64>, there: &BTreeMap<String, i64>) -> Vec<String> {
    here.iter()
        .filter(|(hash, count)| there.get(*hash).copied().unwrap_or(0) < **count)
        .map(|(hash, _)| hash.clone())
        .take(ROWS_SHOWN)
        .collect()
}

async fn rows(client: &Client, table: &str, hashes: &[String]) -> Vec<String> {
    let expression = row_expression(client, table).await;
    let query = format!(
        "SELECT ({expression})::text FROM ONLY {table} \
         WHERE md5(({expression})::text) = ANY ($1) LIMIT {ROWS_SHOWN}"
    );
    let found = ok("read rows", client.query(&query, &[&hashes]).await);
    ok("end the snapshot", client.batch_execute("COMMIT").await);
    found.into_iter().map(|row| row.get(0)).collect()
}

/// Begins a transaction with pinned settings, and says how a row of the table is written.
async fn row_expression(client: &Client, table: &str) -> String {
    ok("pin settings", client.batch_execute(PIN_OUTPUT).await);
    let all = tables(client, &[]).await;
    let wanted = all.into_iter().find(|(name, _)| name == table);
    wanted.map_or_else(|| panic!("{table} has gone"), |(_, expression)| expression)
}

fn line(report: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(report, "{text}");
}
