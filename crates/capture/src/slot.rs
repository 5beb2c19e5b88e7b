//! The slot on the server that is read: made, recorded, examined before every use, and
//! dropped. A slot is known by more than its name, because a slot made again under the same
//! name, or moved by someone else, hides a gap that nothing later would show.

mod examine;
mod first_after;
mod open_transactions;
mod record;

pub use examine::{SlotState, WalStatus, examine};
pub use first_after::{FirstTransaction, first_after};
pub use open_transactions::{OpenTransaction, open_transactions};
pub use record::{Plugin, SlotProblem, SlotRecord, SlotRefused};

use crate::busy_slot::BusySlot;
use crate::error::CaptureError;
use crate::limits::SLOT_BUSY_DEADLINE;
use trunkline_changes::Side;
use trunkline_postgres::{
    Canceller, Conninfo, OnSide, ReplicationSession, Session, SlotLife, SnapshotAction, SqlState,
    SystemIdentity,
};

/// A connection that is about to make a slot. Making one waits for every transaction of the
/// server that has written ([`open_transactions`] lists them); it is given up with
/// [`NewSlot::canceller`], and then nothing is left behind.
pub struct NewSlot {
    session: ReplicationSession,
    identity: SystemIdentity,
    side: Side,
}

impl NewSlot {
    /// Connects; needs the REPLICATION attribute.
    pub async fn prepare(conninfo: &Conninfo, side: Side) -> Result<Self, CaptureError> {
        let doing = "connecting to make a replication slot";
        let mut session = ReplicationSession::connect(conninfo, "slot")
            .await
            .on(side, doing)?;
        let identity = session.identify_system().await.on(side, doing)?;
        Ok(NewSlot {
            session,
            identity,
            side,
        })
    }

    /// What gives the creation up.
    pub fn canceller(&self) -> Canceller {
        self.session.canceller()
    }

    /// Makes the slot. Transactions whose commit begins at or after the record's consistent
    /// point are streamed, those before are not.
    pub async fn create(mut self, name: &str, plugin: Plugin) -> Result<SlotRecord, CaptureError> {
        let created = self
            .session
            .create_slot(
                name,
                plugin.name(),
                SlotLife::Permanent,
                SnapshotAction::Nothing,
            )
            .await
            .on(self.side, format!("making replication slot {name}"))?;
        self.session.close().await;
        Ok(SlotRecord {
            name: created.name,
            plugin: plugin.name().to_owned(),
            database: self.identity.database,
            system_id: self.identity.system_id,
            timeline: self.identity.timeline,
            consistent_point: created.consistent_point,
        })
    }
}

/// What became of a slot that was to be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is gone.
    Now,
    /// It was not there.
    Before,
}

/// Drops the slot that a record speaks of; waits while another session still holds it. A slot
/// of that name with another plugin or database is not ours, and is left.
pub async fn drop_slot(
    session: &mut Session,
    side: Side,
    record: &SlotRecord,
) -> Result<Dropped, CaptureError> {
    let mut busy = BusySlot::new(SLOT_BUSY_DEADLINE);
    loop {
        let sql = include_str!("../sql/drop_slot.sql");
        let dropped = session
            .execute(sql, &[&record.name, &record.plugin, &record.database])
            .await;
        match dropped {
            Ok(0) => return Ok(Dropped::Before),
            Ok(_) => return Ok(Dropped::Now),
            Err(error) if error.sqlstate() == Some(&SqlState::UNDEFINED_OBJECT) => {
                return Ok(Dropped::Before);
            }
            Err(error) => {
                let Some(pause) = busy.pause(&error) else {
                    let doing = format!("dropping replication slot {}", record.name);
                    return Err(error).on(side, doing).map_err(CaptureError::from);
                };
                tokio::time::sleep(pause).await;
            }
        }
    }
}
