//! The numbers of a status, as each server gives them.

use trunkline_changes::Lsn;
use trunkline_postgres::{DataRow, PgError, Session};

use crate::subscription::status::SubscriptionStatus;

/// Numbers that the target's control schema holds.
pub(super) struct TargetNumbers {
    pub(super) rows_copied: u64,
    pub(super) rows_total: u64,
    pub(super) held: bool,
}

pub(super) fn target_numbers(row: &DataRow) -> Result<TargetNumbers, PgError> {
    Ok(TargetNumbers {
        rows_copied: row.get(0)?,
        rows_total: row.get(1)?,
        held: row.get(2)?,
    })
}

/// Numbers that lie where changes go to.
#[derive(Default)]
pub(super) struct Applied {
    pub(super) position: Option<Lsn>,
    pub(super) age_seconds: Option<f64>,
    pub(super) parked: u64,
    pub(super) rows: u64,
    pub(super) confirmed: Option<Lsn>,
    pub(super) apply_rate: Option<f64>,
    pub(super) write_rate: Option<f64>,
}

impl Applied {
    /// A subscription goes on also while nobody follows: what both servers say now counts.
    pub(super) fn of_a_subscription(self, native: &SubscriptionStatus) -> Applied {
        let known = native
            .applied_lsn
            .max(native.confirmed_lsn.unwrap_or(Lsn::ZERO));
        Applied {
            position: self.position.max(Some(known)),
            age_seconds: None,
            ..self
        }
    }
}

/// Numbers of the server that changes come from.
#[derive(Default)]
pub(super) struct Written {
    pub(super) position: Option<Lsn>,
    pub(super) kept_bytes: Option<u64>,
}

/// What the side that changes go to says of them.
pub(super) async fn applied(
    session: &mut Session,
    name: &str,
    leg: u32,
) -> Result<Applied, PgError> {
    let sql = include_str!("../sql/status_applied.sql");
    let row = session.query_one(sql, &[&name, &leg]).await?;
    Ok(Applied {
        position: row.get(0)?,
        age_seconds: row.get(1)?,
        parked: row.get(2)?,
        rows: row.get(3)?,
        confirmed: row.get(4)?,
        apply_rate: row.get(5)?,
        write_rate: row.get(6)?,
    })
}

/// The position of the side that changes come from, and the log that it keeps for a slot.
pub(super) async fn written(session: &mut Session, slot: &str) -> Result<Written, PgError> {
    let sql = include_str!("../sql/status_source.sql");
    let row = session.query_one(sql, &[&slot]).await?;
    Ok(Written {
        position: row.get(0)?,
        kept_bytes: row.get(1)?,
    })
}
