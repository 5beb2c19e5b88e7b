//! What an operator is told of the subscription: how far it is on both sides, what fails, and
//! what mends it.

use std::time::Instant;

use serde::Serialize;
use trunkline_changes::{Lsn, TableName};
use trunkline_postgres::Session;

use super::look::{
    Failures, Seen, SubscribedTable, failures, first_unapplied, seen, slot_seen, tables,
};
use crate::error::Error;
use crate::follow::WORKER_AWAY;

/// How the subscription stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubscriptionStatus {
    /// Its name on the target, and its slot's on the source.
    pub name: String,
    /// Whether it is to run.
    pub enabled: bool,
    /// Whether a process of the target applies changes.
    pub working: bool,
    /// Whether the source sends to it.
    pub sending: Option<bool>,
    /// Everything before it was applied, as the target's worker said last.
    pub answered_lsn: Lsn,
    /// The last transaction that changed a row on the target.
    pub applied_lsn: Lsn,
    /// Everything before it is on the target's disk, as the source was told.
    pub confirmed_lsn: Option<Lsn>,
    /// Its tables.
    pub tables: u64,
    /// Those that have their rows and are kept up to date.
    pub tables_ready: u64,
    /// The others.
    pub not_ready: Vec<SyncingTable>,
    /// Transactions that could not be applied, each attempt counted; unknown before version 15.
    pub apply_errors: Option<u64>,
    /// The same of the first copies of tables.
    pub sync_errors: Option<u64>,
    /// Conflicts by kind, as servers count them from version 18 on.
    pub conflicts: Option<String>,
    /// By what position `ALTER SUBSCRIPTION … SKIP` knows the transaction that cannot be
    /// applied, where there is one.
    pub failing_lsn: Option<Lsn>,
    /// What is wrong, each with what mends it.
    pub trouble: Vec<String>,
}

/// A table that does not have its rows yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SyncingTable {
    /// The table.
    pub table: TableName,
    /// `waiting`, `copying`, `catching up`.
    pub state: &'static str,
    /// Whether a process works on it.
    pub working: bool,
}

/// `pg_subscription_rel.srsubstate` in words.
fn in_words(state: &str) -> &'static str {
    match state {
        "i" => "waiting",
        "d" => "copying",
        "f" => "copied",
        "r" => "ready",
        _ => "catching up",
    }
}

/// Reads it from both servers; `None` where it does not stand. A source that does not answer
/// leaves its numbers out.
pub(crate) async fn status(
    target: &mut Session,
    mut source: Option<&mut Session>,
    name: &str,
    slot: &str,
) -> Result<Option<SubscriptionStatus>, Error> {
    let Some(now) = seen(target, name).await? else {
        return Ok(None);
    };
    let slot_now = match &mut source {
        Some(source) => slot_seen(source, slot).await.ok(),
        None => None,
    };
    let failed = failures(target, name).await?;
    let standstill = if may_fail(&now, failed.as_ref()) {
        standstill(target, source, (name, slot), &now).await
    } else {
        None
    };
    let not_ready: Vec<SyncingTable> = tables(target, name)
        .await?
        .iter()
        .filter(|table| table.state != "r")
        .map(syncing)
        .collect();
    let counts = failed.clone().unwrap_or_default();
    let known = failed.is_some();
    let trouble = trouble(name, &now, failed.as_ref(), &not_ready, standstill.as_ref());
    Ok(Some(SubscriptionStatus {
        name: name.to_owned(),
        enabled: now.enabled,
        working: now.appliers > 0,
        sending: slot_now.map(|slot| slot.active),
        answered_lsn: now.answered,
        applied_lsn: now.origin,
        confirmed_lsn: slot_now.map(|slot| slot.confirmed),
        tables: now.tables,
        tables_ready: now.ready,
        not_ready,
        apply_errors: known.then_some(counts.apply),
        sync_errors: known.then_some(counts.sync),
        conflicts: counts.conflicts,
        failing_lsn: standstill.and_then(|standstill| standstill.at),
        trouble,
    }))
}

fn syncing(table: &SubscribedTable) -> SyncingTable {
    SyncingTable {
        table: table.name.clone(),
        state: in_words(&table.state),
        working: table.is_worked_on,
    }
}

/// A change that cannot be applied.
struct Standstill {
    /// By what position `SKIP` knows its transaction, where it can be told.
    at: Option<Lsn>,
}

/// Whether a change may be one that cannot be applied: servers count attempts, and do not take
/// back what they counted once it goes on.
fn may_fail(now: &Seen, failed: Option<&Failures>) -> bool {
    let ever = failed.is_some_and(|failed| failed.apply > 0);
    ever && now.enabled && (now.appliers == 0 || now.answered == Lsn::ZERO)
}

/// What stands still: nothing does where no change waits, and a process that reads the slot
/// has only begun.
async fn standstill(
    target: &mut Session,
    source: Option<&mut Session>,
    of: (&str, &str),
    now: &Seen,
) -> Option<Standstill> {
    let Some(source) = source else {
        return Some(Standstill { at: None });
    };
    match first_unapplied(target, source, of, now.origin).await {
        Ok(at) => at.map(|at| Standstill { at: Some(at) }),
        Err(_) => (now.appliers == 0).then_some(Standstill { at: None }),
    }
}

/// What is wrong, and what mends it: pure.
fn trouble(
    name: &str,
    now: &Seen,
    failed: Option<&Failures>,
    not_ready: &[SyncingTable],
    standstill: Option<&Standstill>,
) -> Vec<String> {
    let mut trouble = Vec::new();
    if !now.enabled {
        trouble.push(format!(
            "it is disabled: `trunkline run` lets it go on from where it is ({})",
            now.origin
        ));
        return trouble;
    }
    let failed = failed.cloned().unwrap_or_default();
    if let Some(standstill) = standstill {
        let lsn = standstill.at.map(|lsn| lsn.to_string());
        let at = lsn.as_deref().unwrap_or("...");
        trouble.push(format!(
            "a change cannot be applied ({} attempts): the target's log says which row is in the \
             way. Mend that row on the target, and the subscription goes on by itself within \
             seconds; or leave its whole transaction out with ALTER SUBSCRIPTION {name} SKIP (lsn = \
             '{at}') there, and mend the rows with `trunkline verify --repair`",
            failed.apply
        ));
    }
    let stuck: Vec<String> = not_ready
        .iter()
        .filter(|table| !table.working)
        .map(|table| table.table.to_string())
        .collect();
    if failed.sync > 0 && !not_ready.is_empty() {
        trouble.push(format!(
            "copying a table failed {} times: the target's log says why. Not copied, and not \
             worked on now: {}. Each is tried again within seconds; if its rows are in the way, \
             TRUNCATE it on the target",
            failed.sync,
            if stuck.is_empty() {
                "none".to_owned()
            } else {
                stuck.join(", ")
            }
        ));
    }
    if now.appliers == 0 && standstill.is_none() {
        trouble.push(
            "no process of the target works for it: the target's log says why (the source not \
             reached, no free worker, a change that does not fit); it is tried again every few \
             seconds"
                .to_owned(),
        );
    }
    if let Some(conflicts) = &failed.conflicts {
        trouble.push(format!(
            "conflicts: {conflicts}; a change whose row was missing was left out, which \
             `trunkline verify` finds"
        ));
    }
    trouble
}

/// What was said of it already.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    said: Option<Failures>,
    away_since: Option<Instant>,
    away_said: bool,
}

impl Trouble {
    /// What is new since the last look, in words.
    pub(crate) async fn look(
        &mut self,
        to: &mut Session,
        name: &str,
        now: &Seen,
    ) -> Result<Option<String>, Error> {
        let is_away = now.enabled && now.appliers == 0;
        self.away_since = is_away.then(|| self.away_since.unwrap_or_else(Instant::now));
        self.away_said &= is_away;
        let failed = failures(to, name).await?.unwrap_or_default();
        let Some(before) = self.said.replace(failed.clone()) else {
            return Ok(None);
        };
        if failed.apply > before.apply || failed.sync > before.sync {
            return Ok(Some(format!(
                "the subscription could not go on ({} changes, {} copies of tables failed so \
                 far): `trunkline status` says what mends it",
                failed.apply, failed.sync
            )));
        }
        let long = self
            .away_since
            .is_some_and(|since| since.elapsed() > WORKER_AWAY);
        if long && !self.away_said {
            self.away_said = true;
            return Ok(Some(
                "no process of the target works for the subscription: the target's log says why"
                    .to_owned(),
            ));
        }
        Ok(None)
    }
}

/// Whether a subscription could be made: tried, and taken back.
pub(crate) async fn rehearse(
    target: &mut Session,
    connection: &str,
) -> Result<(), trunkline_postgres::PgError> {
    let name = "trunkline_check";
    let connection = trunkline_changes::quote_literal(connection);
    target.batch("BEGIN").await?;
    let sql = format!(
        "CREATE SUBSCRIPTION {name} CONNECTION {connection} PUBLICATION {name} \
         WITH (create_slot = false, enabled = false, slot_name = NONE, copy_data = false)"
    );
    let made = target.batch(&sql).await;
    target.batch("ROLLBACK").await?;
    made.map(drop)
}
