//! Looking at a slot before it is used: is it the one that the record speaks of, and does it
//! still hold everything after what is durable on the other side?

use super::record::{SlotProblem, SlotRecord, SlotRefused};
use crate::error::CaptureError;
use trunkline_changes::{Lsn, Side};
use trunkline_postgres::{
    Conninfo, DataRow, OnSide, PgError, ReplicationSession, Session, SystemIdentity,
};

/// How the slot and the server's log stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotState {
    /// From where the server keeps its log for the slot.
    pub restart_lsn: Option<Lsn>,
    /// What was confirmed.
    pub confirmed_flush_lsn: Lsn,
    /// Bytes of log kept for the slot.
    pub wal_kept_bytes: Option<u64>,
    /// Whether the log it needs is safe; `None` before version 13.
    pub wal_status: Option<WalStatus>,
    /// Bytes that can be written before the slot is in danger: `None` when there is no limit
    /// (`max_slot_wal_keep_size`), or before version 13.
    pub safe_wal_bytes: Option<i64>,
    /// The process that holds the slot.
    pub active_pid: Option<i32>,
}

/// `pg_replication_slots.wal_status` of a slot that can still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalStatus {
    /// Within `max_wal_size`.
    Reserved,
    /// Beyond `max_wal_size`, and kept.
    Extended,
    /// Not kept any more: it may be gone at the next checkpoint.
    Unreserved,
    /// In words that we do not know.
    Unknown,
}

/// What `sql/slot_facts.sql` says.
#[derive(Clone, Debug, Default)]
struct Facts {
    slot_type: String,
    plugin: Option<String>,
    database: Option<String>,
    temporary: bool,
    active_pid: Option<i32>,
    restart_lsn: Option<Lsn>,
    confirmed_flush_lsn: Option<Lsn>,
    kept_bytes: Option<i64>,
    wal_status: Option<String>,
    safe_wal_bytes: Option<i64>,
    conflicting: Option<bool>,
    invalidation_reason: Option<String>,
}

impl Facts {
    fn read(row: &DataRow) -> Result<Self, PgError> {
        Ok(Facts {
            slot_type: row.get(0)?,
            plugin: row.get(1)?,
            database: row.get(2)?,
            temporary: row.get(3)?,
            active_pid: row.get(4)?,
            restart_lsn: row.get(5)?,
            confirmed_flush_lsn: row.get(6)?,
            kept_bytes: row.get(7)?,
            wal_status: row.get(8)?,
            safe_wal_bytes: row.get(9)?,
            conflicting: row.get(10)?,
            invalidation_reason: row.get(11)?,
        })
    }

    /// Why the server no longer serves it, in its own words.
    fn invalidation(&self) -> Option<String> {
        if let Some(reason) = &self.invalidation_reason {
            return Some(reason.clone());
        }
        if self.wal_status.as_deref() == Some("lost") {
            return Some("its log is removed".to_owned());
        }
        if self.conflicting == Some(true) {
            return Some("it conflicted with recovery".to_owned());
        }
        if self.restart_lsn.is_none() {
            return Some("it keeps no log".to_owned());
        }
        None
    }
}

/// Examines the slot of a record. `durable` is what the other side holds: the end of the last
/// commit applied, or a [`crate::ReadPosition`] recorded there; [`Lsn::ZERO`] for a slot from
/// which nothing was applied yet.
pub async fn examine(
    conninfo: &Conninfo,
    side: Side,
    record: &SlotRecord,
    durable: Lsn,
) -> Result<SlotState, CaptureError> {
    let doing = || format!("examining replication slot {}", record.name);
    let mut walsender = ReplicationSession::connect(conninfo, "look")
        .await
        .on(side, doing())?;
    let identity = walsender.identify_system().await.on(side, doing())?;
    walsender.close().await;
    let mut session = Session::connect(conninfo, "look").await.on(side, doing())?;
    let row = session
        .query_opt(include_str!("../../sql/slot_facts.sql"), &[&record.name])
        .await
        .on(side, doing())?;
    session.close().await;
    let facts = row
        .as_ref()
        .map(Facts::read)
        .transpose()
        .on(side, doing())?;
    judge(record, &identity, facts, durable).map_err(|problem| {
        let slot = record.name.clone();
        CaptureError::Refused(SlotRefused {
            side,
            slot,
            problem,
        })
    })
}

/// The decision. A server that is another one is named first: nothing else that it says
/// counts.
fn judge(
    record: &SlotRecord,
    identity: &SystemIdentity,
    facts: Option<Facts>,
    durable: Lsn,
) -> Result<SlotState, SlotProblem> {
    if identity.system_id != record.system_id {
        return Err(SlotProblem::OtherSystem {
            recorded: record.system_id.clone(),
            found: identity.system_id.clone(),
        });
    }
    if identity.timeline != record.timeline {
        return Err(SlotProblem::OtherTimeline {
            recorded: record.timeline,
            found: identity.timeline,
        });
    }
    let facts = facts.ok_or(SlotProblem::Gone)?;
    same_kind(record, &facts)?;
    if let Some(reason) = facts.invalidation() {
        return Err(SlotProblem::Invalidated { reason });
    }
    let Some(confirmed) = facts.confirmed_flush_lsn else {
        return Err(SlotProblem::NotLogical);
    };
    if confirmed < record.consistent_point {
        return Err(SlotProblem::MadeAnew {
            confirmed,
            consistent_point: record.consistent_point,
        });
    }
    let durable = durable.max(record.consistent_point);
    if confirmed > durable {
        return Err(SlotProblem::BeyondDurable { confirmed, durable });
    }
    Ok(SlotState {
        restart_lsn: facts.restart_lsn,
        confirmed_flush_lsn: confirmed,
        wal_kept_bytes: facts.kept_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
        wal_status: facts.wal_status.as_deref().map(|status| match status {
            "reserved" => WalStatus::Reserved,
            "extended" => WalStatus::Extended,
            "unreserved" => WalStatus::Unreserved,
            _ => WalStatus::Unknown,
        }),
        safe_wal_bytes: facts.safe_wal_bytes,
        active_pid: facts.active_pid,
    })
}

fn same_kind(record: &SlotRecord, facts: &Facts) -> Result<(), SlotProblem> {
    if facts.slot_type != "logical" {
        return Err(SlotProblem::NotLogical);
    }
    if facts.temporary {
        return Err(SlotProblem::Temporary);
    }
    let plugin = facts.plugin.clone().unwrap_or_default();
    if plugin != record.plugin {
        return Err(SlotProblem::OtherPlugin {
            recorded: record.plugin.clone(),
            found: plugin,
        });
    }
    let database = facts.database.clone().unwrap_or_default();
    if database != record.database {
        return Err(SlotProblem::OtherDatabase {
            recorded: record.database.clone(),
            found: database,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> SlotRecord {
        SlotRecord {
            name: "trunkline".into(),
            plugin: "pgoutput".into(),
            database: "shop".into(),
            system_id: "7".into(),
            timeline: 1,
            consistent_point: Lsn::new(100),
        }
    }

    fn identity() -> SystemIdentity {
        SystemIdentity {
            system_id: "7".into(),
            timeline: 1,
            position: Lsn::new(1000),
            database: "shop".into(),
        }
    }

    fn facts() -> Facts {
        Facts {
            slot_type: "logical".into(),
            plugin: Some("pgoutput".into()),
            database: Some("shop".into()),
            restart_lsn: Some(Lsn::new(90)),
            confirmed_flush_lsn: Some(Lsn::new(200)),
            kept_bytes: Some(910),
            wal_status: Some("reserved".into()),
            ..Facts::default()
        }
    }

    fn problem(facts: Facts, durable: u64) -> SlotProblem {
        judge(&record(), &identity(), Some(facts), Lsn::new(durable)).expect_err("refused")
    }

    #[test]
    fn the_recorded_slot_at_or_before_what_is_durable_is_accepted() {
        for durable in [200, 201, 900] {
            let state =
                judge(&record(), &identity(), Some(facts()), Lsn::new(durable)).expect("accepted");
            assert_eq!(state.confirmed_flush_lsn, Lsn::new(200));
            assert_eq!(state.wal_kept_bytes, Some(910));
            assert_eq!(state.wal_status, Some(WalStatus::Reserved));
        }
    }

    #[test]
    fn a_new_slot_from_which_nothing_was_applied_is_accepted() {
        let mut fresh = facts();
        fresh.confirmed_flush_lsn = Some(Lsn::new(100));
        assert!(judge(&record(), &identity(), Some(fresh), Lsn::ZERO).is_ok());
    }

    #[test]
    fn a_slot_beyond_what_is_durable_is_refused() {
        assert!(matches!(
            problem(facts(), 199),
            SlotProblem::BeyondDurable { .. }
        ));
        assert!(matches!(
            problem(facts(), 0),
            SlotProblem::BeyondDurable { .. }
        ));
    }

    #[test]
    fn a_slot_that_is_gone_or_of_another_kind_is_refused() {
        let gone = judge(&record(), &identity(), None, Lsn::new(900));
        assert_eq!(gone, Err(SlotProblem::Gone));
        let changed = |change: fn(&mut Facts)| {
            let mut facts = facts();
            change(&mut facts);
            problem(facts, 900)
        };
        assert_eq!(
            changed(|f| f.slot_type = "physical".into()),
            SlotProblem::NotLogical
        );
        assert_eq!(changed(|f| f.temporary = true), SlotProblem::Temporary);
        assert_eq!(
            changed(|f| f.confirmed_flush_lsn = None),
            SlotProblem::NotLogical
        );
        let plugin = changed(|f| f.plugin = Some("test_decoding".into()));
        assert!(matches!(plugin, SlotProblem::OtherPlugin { .. }));
        let database = changed(|f| f.database = Some("other".into()));
        assert!(matches!(database, SlotProblem::OtherDatabase { .. }));
        let before = changed(|f| f.confirmed_flush_lsn = Some(Lsn::new(99)));
        assert!(matches!(before, SlotProblem::MadeAnew { .. }));
    }

    #[test]
    fn every_way_in_which_versions_say_invalidated_is_refused() {
        let ways: [fn(&mut Facts); 4] = [
            |f| f.wal_status = Some("lost".into()),
            |f| f.conflicting = Some(true),
            |f| f.invalidation_reason = Some("idle_timeout".into()),
            |f| f.restart_lsn = None,
        ];
        for way in ways {
            let mut facts = facts();
            way(&mut facts);
            assert!(matches!(
                problem(facts, 900),
                SlotProblem::Invalidated { .. }
            ));
        }
    }

    #[test]
    fn another_server_is_refused_before_anything_else() {
        let mut other = identity();
        other.system_id = "8".into();
        let problem = judge(&record(), &other, None, Lsn::new(900));
        assert!(matches!(problem, Err(SlotProblem::OtherSystem { .. })));
        let mut promoted = identity();
        promoted.timeline = 2;
        let problem = judge(&record(), &promoted, Some(facts()), Lsn::new(900));
        assert!(matches!(
            problem,
            Err(SlotProblem::OtherTimeline {
                recorded: 1,
                found: 2
            })
        ));
    }
}
