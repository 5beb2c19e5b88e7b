//! Reading from a standby. What `pg_current_snapshot()` says there of a snapshot of its own
//! leaves out the transactions that run, so nothing could be decided by it. The snapshot that
//! a slot's creation exports is built from the log and lists them: all tables are read under
//! such ones. One is shared for a while, so that a thousand small tables need no thousand
//! slots, and then made anew, so that vacuum on the primary is not held back for the whole
//! copy.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use trunkline_changes::{Side, quote_literal};
use trunkline_postgres::{
    Canceller, Conninfo, OnSide, PgError, ReplicationSession, Session, SlotLife, SnapshotAction,
    log_running_transactions,
};

use super::job::CopyJob;
use super::part::{begin_reading, lock_sql, snapshot_view};
use super::worker::{Copier, SharedSnapshot};
use crate::error::LoadError;
use crate::limits::{RUNNING_RECORD_AGAIN, STANDBY_SNAPSHOT_FOR, STORAGE_LOOKS};

/// The source that is read is a standby.
#[derive(Clone, Debug)]
pub struct Standby {
    /// Its primary.
    pub primary: Conninfo,
    /// How names of temporary slots on the standby begin; four letters are added.
    pub slot: String,
}

/// The snapshot that tables are read under, made when it is needed.
pub(crate) struct StandbySnapshots {
    standby: Standby,
    source: Conninfo,
    cancel: CancellationToken,
    current: tokio::sync::Mutex<Option<(Arc<SharedSnapshot>, Instant)>>,
}

impl StandbySnapshots {
    pub(crate) fn new(standby: Standby, source: Conninfo, cancel: CancellationToken) -> Self {
        StandbySnapshots {
            standby,
            source,
            cancel,
            current: tokio::sync::Mutex::default(),
        }
    }

    /// The one that is shared, while it is young and its keeper lives; else a new one.
    async fn current(&self) -> Result<Arc<SharedSnapshot>, LoadError> {
        let mut current = self.current.lock().await;
        if let Some((snapshot, since)) = current.as_ref()
            && since.elapsed() < STANDBY_SNAPSHOT_FOR
            && !snapshot.is_lost().await
        {
            return Ok(Arc::clone(snapshot));
        }
        *current = None;
        let made = Arc::new(self.export().await?);
        *current = Some((Arc::clone(&made), Instant::now()));
        Ok(made)
    }

    /// The next table is read under another one.
    async fn forget(&self, snapshot: &Arc<SharedSnapshot>) {
        let mut current = self.current.lock().await;
        if current
            .as_ref()
            .is_some_and(|(held, _)| Arc::ptr_eq(held, snapshot))
        {
            *current = None;
        }
    }

    /// Makes a temporary slot, takes its snapshot over, and lets the slot go.
    async fn export(&self) -> Result<SharedSnapshot, LoadError> {
        let (side, doing) = (Side::Source, "taking a snapshot on the standby");
        let walsender = ReplicationSession::connect(&self.source, "snapshot").await;
        let mut walsender = walsender.on(side, doing)?;
        let exported = self.make_slot(&mut walsender).await?;
        let taken = self.take_over(&exported).await.on(side, doing);
        walsender.close().await;
        Ok(taken?)
    }

    async fn make_slot(&self, walsender: &mut ReplicationSession) -> Result<String, LoadError> {
        let (side, doing) = (Side::Source, "making a temporary slot on the standby");
        let primary = Session::connect(&self.standby.primary, "snapshot").await;
        let mut primary = primary.on(side, "connecting to the standby's primary")?;
        let mut waits = Waits(Some(walsender.canceller()));
        // The one before may take a moment to go.
        let name = format!("{}{:04x}", self.standby.slot, fastrand::u16(..));
        let (life, action) = (SlotLife::Temporary, SnapshotAction::Export);
        let creation = walsender.create_slot(&name, "pgoutput", life, action);
        let mut creation = std::pin::pin!(creation);
        let made = loop {
            tokio::select! {
                made = &mut creation => break made.on(side, doing)?,
                () = tokio::time::sleep(RUNNING_RECORD_AGAIN) => {
                    let logged = log_running_transactions(&mut primary).await;
                    logged.on(side, "asking for the record of running transactions")?;
                }
                () = self.cancel.cancelled() => return Err(LoadError::Cancelled),
            }
        };
        waits.0 = None;
        primary.close().await;
        Ok(made.snapshot.unwrap_or_default())
    }

    /// A session of its own keeps the snapshot: the slot need not stay for it.
    async fn take_over(&self, exported: &str) -> Result<SharedSnapshot, PgError> {
        let mut leader = Session::connect(&self.source, "snapshot").await?;
        leader.batch(&begin_under(exported)).await?;
        let view = snapshot_view(&mut leader).await?;
        let row = leader
            .query_one("SELECT pg_catalog.pg_export_snapshot()", &[])
            .await?;
        Ok(SharedSnapshot {
            id: row.get(0)?,
            view,
            leader: tokio::sync::Mutex::new(leader),
        })
    }
}

/// A slot that is being made: it waits for what may not come, and does not notice that nobody
/// waits for it any more. Dropped before it is there, the server is told to give it up.
struct Waits(Option<Canceller>);

impl Drop for Waits {
    fn drop(&mut self) {
        if let (Some(canceller), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = canceller.cancel().await {
                    tracing::debug!(%error, "a slot that was given up could not be cancelled");
                }
            });
        }
    }
}

fn begin_under(id: &str) -> String {
    format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
        quote_literal(id)
    )
}

impl Copier {
    /// Begins a transaction that reads a table under one snapshot; gives what that saw.
    pub(crate) async fn begin(
        &self,
        source: &mut Session,
        job: &CopyJob,
    ) -> Result<String, LoadError> {
        let doing = || format!("copying {}", job.name());
        let Some(snapshots) = &self.standby else {
            return Ok(begin_reading(source, &lock_sql(&[job]))
                .await
                .on(Side::Source, doing())?);
        };
        let mut looks = 0;
        loop {
            let snapshot = snapshots.current().await?;
            let begun = begin_shared(source, job, &snapshot.id).await;
            if !matches!(begun, Ok(Storage::Same)) {
                snapshots.forget(&snapshot).await;
            }
            looks += 1;
            match begun.on(Side::Source, doing())? {
                Storage::Same => return Ok(snapshot.view.clone()),
                Storage::Another if looks < STORAGE_LOOKS => {
                    source.batch("ROLLBACK").await.on(Side::Source, doing())?;
                }
                Storage::Another => {
                    return Err(LoadError::EmptiedAgain {
                        table: job.name().clone(),
                    });
                }
            }
        }
    }
}

/// Whether a table's rows lie where the snapshot knows them.
enum Storage {
    Same,
    /// It was emptied or rewritten since: who reads it now finds other rows.
    Another,
}

/// The snapshot is older than the lock, so the table is looked at once it is locked.
async fn begin_shared(
    source: &mut Session,
    job: &CopyJob,
    snapshot: &str,
) -> Result<Storage, PgError> {
    let sql = format!("{}; {}", begin_under(snapshot), lock_sql(&[job]));
    source.batch(&sql).await?;
    let row = source
        .query_opt(
            "SELECT class.relfilenode = pg_catalog.pg_relation_filenode(class.oid) \
             FROM pg_catalog.pg_class AS class WHERE class.oid = $1::text::pg_catalog.regclass",
            &[&job.name().quoted()],
        )
        .await?;
    // A table that the snapshot does not know is younger than it.
    let same: Option<bool> = row.map(|row| row.get(0)).transpose()?.flatten();
    Ok(if same == Some(true) {
        Storage::Same
    } else {
        Storage::Another
    })
}
