//! Loading one part: the rows and the ledger's row in one transaction of the target.

use std::sync::atomic::{AtomicU64, Ordering};

use trunkline_changes::Side;
use trunkline_postgres::{OnSide, PgError, Session, pump};

use super::as_stored::storage_sql;
use super::job::CopyJob;
use super::worker::{Copier, Pair, SharedSnapshot};
use crate::chunks::{Cut, Part};
use crate::error::LoadError;
use crate::ledger::{self, Loaded};
use crate::progress::TableState;

/// Below this a table is not emptied in order to write its rows frozen: emptying makes a
/// new file, which costs more than it saves.
const FROZEN_FROM_BYTES: u64 = 1 << 20;

/// What the snapshot of the session's transaction saw.
pub(crate) async fn snapshot_view(source: &mut Session) -> Result<String, PgError> {
    let function = if source.version().major() >= 13 {
        "pg_current_snapshot"
    } else {
        "txid_current_snapshot"
    };
    source
        .query_one(&format!("SELECT {function}()::text"), &[])
        .await?
        .get(0)
}

/// Begins a transaction that reads tables under one snapshot, which is taken after the
/// lock: nothing can change the tables' shapes between the two.
pub(crate) async fn begin_reading(source: &mut Session, lock: &str) -> Result<String, PgError> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    source.batch(&format!("{begin}; {lock}")).await?;
    snapshot_view(source).await
}

/// Keeps tables' shapes as they are.
pub(crate) fn lock_sql(jobs: &[&CopyJob]) -> String {
    let only = |job: &&CopyJob| format!("ONLY {}", job.name().quoted());
    let tables: Vec<String> = jobs.iter().map(only).collect();
    format!("LOCK TABLE {} IN ACCESS SHARE MODE", tables.join(", "))
}

impl Copier {
    /// Loads a part under a shared snapshot, or under one of its own.
    pub(crate) async fn load_part(
        &self,
        pair: &mut Pair,
        job: &CopyJob,
        cut: &Cut,
        part: &Part,
        shared: Option<&SharedSnapshot>,
    ) -> Result<(), LoadError> {
        job.progress.set_state(TableState::Copying);
        let counted = Counted {
            job,
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        };
        let (source, target) = pair.both(self).await?;
        let doing = format!("copying {}", job.name());
        let view = match shared {
            None => self.begin(source, job).await?,
            Some(shared) => {
                let sql = format!(
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
                    trunkline_changes::quote_literal(&shared.id)
                );
                source.batch(&sql).await.on(Side::Source, &doing)?;
                shared.view.clone()
            }
        };
        let frozen =
            self.ours && job.alone && *cut == Cut::Whole && job.bytes() >= FROZEN_FROM_BYTES;
        // Who empties a table in a transaction has it alone, and may alter it there too.
        let as_is = if frozen {
            self.in_vain(source, target, job).await?
        } else {
            Vec::new()
        };
        let mut begin = vec!["BEGIN".to_owned()];
        if frozen {
            begin.push(format!("TRUNCATE TABLE ONLY {}", job.target().quoted()));
        }
        if !as_is.is_empty() {
            begin.push(storage_sql(job.target(), &as_is, "EXTERNAL"));
        }
        let begun = target.batch(&begin.join("; ")).await;
        begun.on(Side::Target, &doing)?;
        let progress = |bytes: u64, rows: u64| counted.reached(bytes, rows);
        let (out, into) = (job.out_sql(cut, part.bounds), job.in_sql(frozen));
        let pumped = pump(source, &out, target, &into, &progress).await;
        let pumped = pumped.map_err(|mut fault| {
            fault.doing.clone_from(&doing);
            fault
        })?;
        let loaded = Loaded {
            table: job.name(),
            cut,
            part,
            rows: pumped.rows,
            bytes: pumped.bytes,
        };
        if !as_is.is_empty() {
            let sql = storage_sql(job.target(), &as_is, "EXTENDED");
            target.batch(&sql).await.on(Side::Target, &doing)?;
        }
        let copied = match cut {
            Cut::Whole => ledger::copied_sql([loaded], &view),
            Cut::Pages | Cut::Key(_) => ledger::part_copied_sql(&loaded, &view),
        };
        let ours = target.batch(&copied).await.on(Side::Target, &doing)? == 1;
        // A transaction of an earlier try can end after we have looked: its rows stay then.
        let end = if ours { "COMMIT" } else { "ROLLBACK" };
        target.batch(end).await.on(Side::Target, &doing)?;
        counted.keep(pumped.bytes, pumped.rows);
        // The rows are in; how the reading transaction ends changes nothing.
        if let Err(error) = source.batch("COMMIT").await {
            tracing::debug!(table = %job.name(), %error, "the reading transaction did not end well");
        }
        Ok(())
    }
}

/// What a part has added to its table's counters, taken back when it fails.
struct Counted<'a> {
    job: &'a CopyJob,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Counted<'_> {
    fn reached(&self, bytes: u64, rows: u64) {
        let rows_before = self.rows.swap(rows, Ordering::Relaxed);
        let bytes_before = self.bytes.swap(bytes, Ordering::Relaxed);
        self.job.progress.add(
            rows.saturating_sub(rows_before),
            bytes.saturating_sub(bytes_before),
        );
    }

    fn keep(&self, bytes: u64, rows: u64) {
        self.reached(bytes, rows);
        self.rows.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let (rows, bytes) = (
            self.rows.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        );
        self.job.progress.take_back(rows, bytes);
    }
}
