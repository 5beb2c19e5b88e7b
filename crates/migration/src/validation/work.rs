//! One worker of validation: takes a table, or rows that changed, compares, records, rests.
//! Holds always: a fault of a connection ends the worker's sessions and nothing else; a table
//! that cannot be read is recorded as such, and the others go on.

use std::sync::Arc;

use tokio::sync::watch;
use trunkline_changes::{Lsn, Side, TableName};
use trunkline_postgres::{Fault, OnSide, PgError, Session};
use trunkline_verify::{Behind, Online, Rows, Subject};

use super::changed::Key;
use super::ledger::PartEnd;
use super::shared::{Job, Shared};
use super::table::ValidationState;
use crate::error::Error;
use crate::limits::{LOOKED_AT_ONCE, LOOKS, LOOKS_AT_A_PART, VALIDATE_AGAIN, VALIDATION_LOOK};
use crate::phases::verifying::emit;

/// Works until it is told to stop.
pub(super) async fn work(shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    let mut job = None;
    loop {
        let ended = tokio::select! {
            ended = live(&shared, &mut job) => ended,
            () = stop.cancelled() => return,
        };
        if let Some(job) = job.take() {
            shared.give_back(job);
        }
        if let Err(error) = ended {
            tracing::warn!(%error, "validation begins again");
            tokio::select! {
                () = tokio::time::sleep(VALIDATE_AGAIN) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// A worker's sessions.
struct Hands {
    online: Online,
    behind: Marker,
    ledger: Session,
}

impl Hands {
    async fn connect(shared: &Shared) -> Result<Self, Error> {
        let (from, to) = (shared.way.from(), shared.way.to());
        let (source, target) = (shared.server(from), shared.server(to));
        let doing = "connecting to validate";
        let mut marker = Session::connect(source, "marker").await.on(from, doing)?;
        // A commit that waits for a standby is on its way to the target, and not visible yet:
        // the marker waits for the same standbys, behind it.
        let wait = "SET synchronous_commit = remote_apply";
        marker.batch(wait).await.on(from, doing)?;
        Ok(Hands {
            online: Online::connect((from, &shared.read), (to, target)).await?,
            behind: Marker {
                session: marker,
                side: from,
                applied: shared.applied.clone(),
            },
            ledger: ledger_session(shared).await?,
        })
    }
}

async fn ledger_session(shared: &Shared) -> Result<Session, Error> {
    let session = Session::connect(shared.server(Side::Target), "validation").await;
    Ok(session.on(Side::Target, "connecting to validate")?)
}

/// Job after job; ends when the sessions are of no more use.
async fn live(shared: &Shared, current: &mut Option<Job>) -> Result<(), Error> {
    let mut hands = Hands::connect(shared).await?;
    shared.runs(hands.online.cancellers());
    loop {
        shared.wait_for_budget(VALIDATION_LOOK).await;
        let job = current.insert(shared.next().await);
        let table = job.subject().table().clone();
        let done = match job {
            Job::Table { subject, above } => read_table(shared, &mut hands, subject, above).await,
            Job::Rows {
                subject,
                source,
                keys,
            } => compare_rows(shared, &mut hands, subject, (source, keys)).await,
        };
        let Err(error) = done else {
            current.take().iter().for_each(|job| shared.ended(job));
            continue;
        };
        let (state, why) = unreadable(&error).ok_or(error)?;
        // The sessions are left inside of a transaction that failed.
        let mut ledger = ledger_session(shared).await?;
        let end = (state, Some(why.as_str()));
        shared.ledger.end(&mut ledger, &table, end).await?;
        current.take().iter().for_each(|job| shared.ended(job));
        return Ok(());
    }
}

/// Compares rows that changed.
async fn compare_rows(
    shared: &Shared,
    hands: &mut Hands,
    subject: &Subject,
    (source, keys): (&TableName, &[Key]),
) -> Result<(), Error> {
    let rows = Rows::Keys(keys.to_vec());
    let compared = hands
        .online
        .compare(subject, (rows, LOOKS), &mut hands.behind);
    let report = compared.await?;
    if report.busy > 0 {
        // Whoever writes them is not done: they are looked at again later.
        shared.changed.put_back(source, keys.to_vec());
    }
    let named = subject.key();
    let recorded =
        shared
            .ledger
            .rechecked(&mut hands.ledger, subject.table(), (&named, keys), &report);
    recorded.await?;
    shared.compared(&report);
    shared.rest(report.source_time).await;
    Ok(())
}

/// Reads a table part by part, from where it was left.
async fn read_table(
    shared: &Shared,
    hands: &mut Hands,
    subject: &Subject,
    above: &mut Option<String>,
) -> Result<(), Error> {
    let table = subject.table();
    if above.is_none() {
        shared.ledger.begin(&mut hands.ledger, table).await?;
    }
    loop {
        shared.wait_for_budget(VALIDATION_LOOK).await;
        let range = hands.online.cut(subject, above.clone()).await?;
        let rows = Rows::Range(range.clone());
        let is_part = range.above.is_some() || range.up_to.is_some();
        let looks = looks_at(is_part, subject.bytes());
        let compared = hands
            .online
            .compare(subject, (rows, looks), &mut hands.behind);
        let report = compared.await?;
        let end = PartEnd {
            above: range.up_to.as_deref(),
            report: &report,
        };
        shared.ledger.part(&mut hands.ledger, table, end).await?;
        shared.compared(&report);
        shared.rest(report.source_time).await;
        *above = range.up_to;
        if above.is_none() {
            let has_key = !subject.key().is_empty();
            let ledger = &shared.ledger;
            return ledger.close(&mut hands.ledger, table, has_key).await;
        }
    }
}

/// How often rows that differ are looked at in the first reading.
fn looks_at(is_part: bool, bytes: u64) -> u32 {
    match (is_part, bytes) {
        (true, _) => LOOKS_AT_A_PART,
        (false, ..=LOOKED_AT_ONCE) => 1,
        (false, _) => LOOKS,
    }
}

/// What an error of a server says of the table that was read: it is not what it was (42P01,
/// 42703, 42883), or it cannot be read, and trying again would not help. `None` when it is
/// about the connection.
fn unreadable(error: &Error) -> Option<(ValidationState, String)> {
    let Error::Server(Fault { cause, .. }) = error else {
        return None;
    };
    if cause.may_retry() {
        return None;
    }
    let state = cause.sqlstate().map(|state| state.as_str().to_owned());
    let found = match state.as_deref() {
        Some("42P01" | "42703" | "42883") => ValidationState::Suspended,
        _ => ValidationState::Error,
    };
    Some((found, error.to_string()))
}

/// Writes a marker on the side that changes come from, and waits until it is applied.
struct Marker {
    session: Session,
    side: Side,
    applied: watch::Receiver<Lsn>,
}

impl Behind for Marker {
    async fn caught_up(&mut self) -> Result<Lsn, Fault> {
        let doing = "waiting until changes are applied";
        let marker = emit(&mut self.session, self.side, "validate").await;
        let marker = marker.map_err(|error| match error {
            Error::Server(fault) => fault,
            other => Fault {
                side: self.side,
                doing: doing.to_owned(),
                cause: PgError::Protocol(other.to_string()),
            },
        })?;
        let reached = self.applied.wait_for(|applied| *applied >= marker).await;
        match reached {
            Ok(_) => Ok(marker),
            Err(_) => Err(Fault {
                side: self.side,
                doing: doing.to_owned(),
                cause: PgError::Protocol("the follower has ended".to_owned()),
            }),
        }
    }
}

impl Job {
    fn subject(&self) -> &Subject {
        match self {
            Job::Table { subject, .. } | Job::Rows { subject, .. } => subject,
        }
    }
}
