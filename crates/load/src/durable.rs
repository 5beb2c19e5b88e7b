//! Commits of the copy do not wait for the target's disk, so a crash of the target takes back
//! what it had just answered. Here a step waits for the disk once, and looks whether all of it
//! is still there.

use std::collections::{HashMap, HashSet};

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{DataRow, OnSide};

use crate::error::LoadError;
use crate::inventory::Inventory;
use crate::ledger::{self, Recorded};
use crate::loader::Loader;
use crate::retrying::retried;
use crate::structure::{ANALYZED, Key, Record, forget_record_sql, key, key_of};
use crate::transform::Layout;

/// What the ledger says of a table that was copied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InLedger {
    /// Not that all of its parts are in.
    NotAll,
    Empty,
    Rows,
}

impl InLedger {
    /// By what it holds, which is not nothing.
    fn of(parts: &[Recorded]) -> Self {
        if !parts.iter().all(|part| part.copied) {
            InLedger::NotAll
        } else if parts.iter().any(|part| part.rows > 0) {
            InLedger::Rows
        } else {
            InLedger::Empty
        }
    }
}

impl Loader {
    /// Waits until all that was committed is on the target's disk. Our sessions commit
    /// without waiting; one commit that waits makes all earlier ones durable.
    pub(crate) async fn make_durable(&self) -> Result<(), LoadError> {
        let sql = "SET synchronous_commit = on; \
                   INSERT INTO trunkline.structure (kind, schema, name, ordinal, outcome) \
                   VALUES ('DURABLE', '', '', 0, 'made') \
                   ON CONFLICT (kind, schema, name, ordinal) DO UPDATE SET made_at = clock_timestamp()";
        self.on_target(sql, "waiting for the disk").await
    }

    /// Waits for the disk; gives the record if it holds all of these keys.
    pub(crate) async fn have_lasted(
        &self,
        mut keys: impl Iterator<Item = Key>,
    ) -> Result<Option<Record>, LoadError> {
        self.make_durable().await?;
        let record = self.record().await?;
        let all = keys.all(|key| record.holds(&key));
        if !all {
            tracing::warn!("the target lost what was made: it is made again");
        }
        Ok(all.then_some(record))
    }

    /// Waits for the disk; gives whether everything that was copied and built is still there.
    /// A crash of the target takes back what it had just answered, also of a table that no
    /// connection was busy with when it came, and empties unlogged tables.
    pub(crate) async fn copy_has_lasted(&self, inventory: &Inventory) -> Result<bool, LoadError> {
        // A server that took over may have lost that alone.
        self.give_storage_back().await?;
        let entries = &inventory.structure.entries;
        let built = inventory.builds.entries().map(|place| key(&entries[place]));
        let built = self.have_lasted(built).await?.is_some();
        let (lost, emptied) = {
            let copied = self.progress.tables();
            let names = || copied.iter().map(|table| &table.name);
            retried(&self.cancel, || self.lost_rows(inventory, names())).await?
        };
        if lost.is_empty() && emptied.is_empty() {
            return Ok(built);
        }
        self.forget(&lost, &emptied).await?;
        Ok(false)
    }

    /// Copies again the unlogged tables that a crash of the target emptied since their rows came;
    /// indexes and all stand. Where nothing else would bring their rows.
    pub async fn refill_unlogged(&self, inventory: &Inventory) -> Result<(), LoadError> {
        let unlogged = inventory.tables.iter().filter(|t| t.unlogged && t.data);
        let unlogged: Vec<&TableName> = unlogged.map(|table| &table.name).collect();
        if unlogged.is_empty() {
            return Ok(());
        }
        let look = || self.lost_rows(inventory, unlogged.iter().copied());
        let (lost, emptied) = retried(&self.cancel, look).await?;
        if lost.is_empty() && emptied.is_empty() {
            return Ok(());
        }
        self.forget(&lost, &emptied).await?;
        self.copy_and_build(inventory).await?;
        let record = self.record().await?;
        self.analyze(&inventory.tables, &[], &record).await
    }

    async fn forget(&self, lost: &[TableName], emptied: &[TableName]) -> Result<(), LoadError> {
        let tables = lost.len() + emptied.len();
        tracing::warn!(tables, "the target lost rows: they are copied again");
        let mut forget = String::new();
        for table in emptied {
            forget.push_str(&ledger::forget_sql(table));
        }
        for table in lost.iter().chain(emptied) {
            // Statistics of fewer rows.
            forget.push_str(&forget_record_sql(&key_of(ANALYZED, table)));
        }
        let doing = "forgetting tables that were lost";
        self.on_target(&forget, doing).await
    }

    /// Which of these tables' rows the ledger does not hold, and which unlogged ones it says
    /// have rows and that have none.
    async fn lost_rows(
        &self,
        inventory: &Inventory,
        copied: impl Iterator<Item = &TableName>,
    ) -> Result<(Vec<TableName>, Vec<TableName>), LoadError> {
        let doing = "looking for rows that were lost";
        let mut target = self.connect(Side::Target, "ledger").await?;
        let mut copied: HashMap<&TableName, InLedger> =
            copied.map(|table| (table, InLedger::NotAll)).collect();
        let note = |table: TableName, parts: Vec<Recorded>| {
            if let Some(noted) = copied.get_mut(&table) {
                *noted = InLedger::of(&parts);
            }
        };
        ledger::read_each(&mut target, note).await?;
        let unlogged = "SELECT n.nspname::text, c.relname::text FROM pg_class c \
                        JOIN pg_namespace n ON n.oid = c.relnamespace \
                        WHERE c.relkind = 'r' AND c.relpersistence = 'u'";
        let mut found = HashSet::new();
        let take = |row: DataRow| {
            found.insert(row.table_name(0, 1)?);
            Ok(())
        };
        let read = target.query_each(unlogged, &[], take).await;
        read.on(Side::Target, doing)?;
        let layout = Layout::new(
            &self.options.transform,
            &inventory.tables,
            self.options.naming(),
        );
        let (mut lost, mut emptied) = (Vec::new(), Vec::new());
        for (table, noted) in copied {
            let place = layout.place(table);
            if noted == InLedger::NotAll {
                lost.push(table.clone());
            } else if found.contains(place) && noted == InLedger::Rows {
                let sql = format!("SELECT EXISTS (SELECT FROM ONLY {})", place.quoted());
                let row = target.query_one(&sql, &[]).await.on(Side::Target, doing)?;
                if !row.get::<bool>(0).on(Side::Target, doing)? {
                    emptied.push(table.clone());
                }
            }
        }
        Ok((lost, emptied))
    }
}
