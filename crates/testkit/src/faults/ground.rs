//! The target while faults are planted: reads rows as text, tries statements behind a
//! savepoint, and takes back what the server or the caller refuses.

use std::collections::BTreeMap;

use tokio_postgres::{Client, SimpleQueryMessage};

use super::tables::{Table, Value};
use crate::cluster::{ok, with_causes};

/// Rows of a large table that are looked at in one plant.
const ROWS_DRAWN: usize = 4_000;

/// The session with its tables.
pub(super) struct Ground<'a> {
    client: &'a Client,
    pub(super) tables: BTreeMap<(String, String), Table>,
    conditions: &'a BTreeMap<(String, String), String>,
    draw: u64,
}

impl<'a> Ground<'a> {
    pub(super) fn new(
        client: &'a Client,
        tables: BTreeMap<(String, String), Table>,
        conditions: &'a BTreeMap<(String, String), String>,
        draw: u64,
    ) -> Self {
        Ground {
            client,
            tables,
            conditions,
            draw,
        }
    }

    /// Where the free rows of a table lie, in an order that only the seed and the rows decide.
    pub(super) async fn free_rows(&self, name: &(String, String), table: &Table) -> Vec<String> {
        if let Some(free) = &table.free {
            return free.clone();
        }
        let condition = self.conditions.get(name).map_or("true", String::as_str);
        let (quoted, identity, draw) = (&table.quoted, table.identity(), self.draw);
        let query = format!(
            "SELECT t.ctid FROM ONLY {quoted} AS t WHERE {condition} \
             ORDER BY pg_catalog.md5({identity} || '{draw}') COLLATE \"C\", t.ctid \
             LIMIT {ROWS_DRAWN}"
        );
        let rows = self.ask(&query).await.into_iter();
        rows.filter_map(|row| row.into_iter().next().flatten())
            .collect()
    }

    /// A row's columns as text.
    pub(super) async fn row(&self, table: &Table, ctid: &str) -> Vec<Value> {
        let (list, quoted) = (table.column_list(), &table.quoted);
        let query = format!("SELECT {list} FROM ONLY {quoted} AS t WHERE t.ctid = '{ctid}'");
        let mut rows = self.ask(&query).await;
        assert_eq!(rows.len(), 1, "{quoted} has a row at {ctid}");
        rows.remove(0)
    }

    /// How many rows of a table are the same as one of them.
    pub(super) async fn copies(&self, table: &Table, ctid: &str) -> usize {
        let (quoted, identity) = (&table.quoted, table.identity());
        let query = format!(
            "SELECT FROM ONLY {quoted} AS t WHERE {identity} = \
             (SELECT {identity} FROM ONLY {quoted} AS t WHERE t.ctid = '{ctid}')"
        );
        self.ask(&query).await.len()
    }

    /// Whether the constraints hold that a replica's session does not check.
    pub(super) async fn is_unique(&self, table: &Table) -> bool {
        for columns in &table.unchecked {
            let query = format!(
                "SELECT FROM ONLY {quoted} WHERE ROW({columns}) IS NOT NULL \
                 GROUP BY {columns} HAVING count(*) > 1",
                quoted = table.quoted
            );
            if !self.ask(&query).await.is_empty() {
                return false;
            }
        }
        true
    }

    /// Runs statements behind a savepoint; what they return, or `None` when the server refuses
    /// them, and then they are undone. Each of the others ends with `keep` or `undo`.
    pub(super) async fn attempt(&self, statements: &str) -> Option<Vec<Vec<Value>>> {
        let script = format!("SAVEPOINT fault; {statements}");
        match self.client.simple_query(&script).await {
            Ok(messages) => Some(rows(messages)),
            Err(error) => {
                let is_refused = error.as_db_error().is_some();
                assert!(is_refused, "cannot plant: {}", with_causes(&error));
                self.undo().await;
                None
            }
        }
    }

    pub(super) async fn keep(&self) {
        let kept = self.client.batch_execute("RELEASE SAVEPOINT fault").await;
        ok("keep a fault", kept);
    }

    pub(super) async fn undo(&self) {
        let undo = "ROLLBACK TO SAVEPOINT fault; RELEASE SAVEPOINT fault";
        ok("take a fault back", self.client.batch_execute(undo).await);
    }

    async fn ask(&self, query: &str) -> Vec<Vec<Value>> {
        rows(ok("read rows", self.client.simple_query(query).await))
    }
}

fn rows(messages: Vec<SimpleQueryMessage>) -> Vec<Vec<Value>> {
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => {
            let value = |at| row.get(at).map(str::to_owned);
            Some((0..row.len()).map(value).collect())
        }
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}
