//! Commits of the copy do not wait for the target's disk, so a crash of the target takes back
//! what it had just answered. Here a step waits for the disk once, and looks whether all of it
//! is still there.

use std::sync::Arc;

use trunkline_changes::Side;

use crate::error::LoadError;
use crate::inventory::Inventory;
use crate::ledger;
use crate::loader::Loader;
use crate::progress::TableProgress;
use crate::retrying::retried;
use crate::structure::{Key, Record, key};

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
    /// connection was busy with when it came.
    pub(crate) async fn copy_has_lasted(&self, inventory: &Inventory) -> Result<bool, LoadError> {
        let entries = &inventory.structure.entries;
        let steps = inventory.builds.iter().flat_map(|build| &build.steps);
        let built = steps.map(|step| key(&entries[step.entry]));
        let built = self.have_lasted(built).await?.is_some();
        let ledger = retried(&self.cancel, || async {
            let mut target = self.connect(Side::Target, "ledger").await?;
            ledger::read(&mut target).await
        });
        let ledger = ledger.await?;
        let copied = |table: &Arc<TableProgress>| {
            let parts = ledger.get(&table.name);
            parts.is_some_and(|parts| parts.iter().all(|part| part.copied))
        };
        let copied = self.progress.tables().iter().all(copied);
        if !copied {
            tracing::warn!("the target lost rows that were copied: they are copied again");
        }
        Ok(built && copied)
    }
}
