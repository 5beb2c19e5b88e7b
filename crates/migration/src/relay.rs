//! The relay: a standby of the source from which changes and rows are read in its place, so
//! that the source decodes nothing. Holds always: what is read there has been replayed there,
//! so it is on the source too; and where the source stands is asked of the source itself.

use std::time::Duration;

use tokio::time::Instant;
use trunkline_changes::{Lsn, Side};
use trunkline_load::Standby;
use trunkline_postgres::{
    Conninfo, DataRow, OnSide, PgError, ReplicationSession, RunningRecord, Session, SystemIdentity,
    log_running_transactions,
};

use crate::control::Identity;
use crate::error::Error;
use crate::limits::{RELAY_LOOK, RELAY_OPENS_WITHIN, SLOT_PATIENCE};
use crate::observer::Notice;
use crate::phases::verifying::emit;
use crate::plan::Plan;
use crate::run::Run;

/// How a relay stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Look {
    pub(crate) is_standby: bool,
    /// Up to here its slots can be read.
    pub(crate) replayed: Lsn,
    /// Bytes of log that it keeps for the slot that was asked for.
    pub(crate) kept_bytes: Option<u64>,
    /// Its physical slot on the source; empty where it has none.
    pub(crate) slot: String,
    /// Seconds since the last commit that it replayed.
    pub(crate) age_seconds: Option<f64>,
}

impl Look {
    fn read(row: &DataRow) -> Result<Self, PgError> {
        Ok(Look {
            is_standby: row.get(0)?,
            replayed: row.get(1)?,
            kept_bytes: row.get(2)?,
            slot: row.get(3)?,
            age_seconds: row.get(4)?,
        })
    }
}

/// Looks at a relay; `slot` is what is read there.
pub(crate) async fn look(relay: &mut Session, slot: &str) -> Result<Look, PgError> {
    let row = relay
        .query_one(include_str!("sql/relay.sql"), &[&slot])
        .await?;
    Look::read(&row)
}

/// The relay's physical slot on the source: as the plan names it, or as the relay does.
pub(crate) fn physical_slot(plan: &Plan, look: &Look) -> Option<String> {
    let named = plan.relay.as_ref().and_then(|relay| relay.slot.clone());
    named.or_else(|| (!look.slot.is_empty()).then(|| look.slot.clone()))
}

/// What the loader must know to read from the relay.
pub(crate) fn standby(plan: &Plan, identity: &Identity) -> Option<Standby> {
    plan.relay.as_ref()?;
    Some(Standby {
        primary: plan.source.clone(),
        slot: format!("trunkline_{}_c", identity.id),
    })
}

/// A session on the relay. The source's fence closes the database there too, and it opens
/// again a moment later than on the source.
pub(crate) async fn connect(server: &Conninfo, purpose: &str) -> Result<Session, Error> {
    let began = Instant::now();
    loop {
        match Session::connect(server, purpose).await {
            Err(error) if is_closed(&error) && began.elapsed() < RELAY_OPENS_WITHIN => {
                tokio::time::sleep(RELAY_LOOK).await;
            }
            session => {
                let doing = format!("connecting to the relay ({purpose})");
                return Ok(session.on(Side::Source, doing)?);
            }
        }
    }
}

fn is_closed(error: &PgError) -> bool {
    error
        .sqlstate()
        .is_some_and(|state| state.as_str() == "55000")
}

/// Sees that the relay is a standby of the source, on the same timeline; gives that timeline.
/// If the source failed over and the relay followed, all that was read there is on the new
/// source as well: the relay has replayed it, and goes on from there.
pub(crate) async fn follows_the_source(plan: &Plan, server: &Conninfo) -> Result<i32, Error> {
    let mut relay = connect(server, "look").await?;
    let doing = "looking at the relay";
    let look = look(&mut relay, "").await.on(Side::Source, doing)?;
    relay.close().await;
    refuse_promoted(&look)?;
    let there = identity(server, "the relay").await?;
    let here = identity(&plan.source, "the source").await?;
    if there.system_id != here.system_id {
        return Err(Error::Refused {
            why: format!(
                "the relay is no standby of the source: its system identifier is {}, the \
                 source's {}",
                there.system_id, here.system_id
            ),
            hint: "name a standby of the source in [relay]".to_owned(),
        });
    }
    if there.timeline != here.timeline {
        return Err(Error::Refused {
            why: format!(
                "the relay is on timeline {} and the source on {}: one of them was promoted, and \
                 the relay does not follow the source",
                there.timeline, here.timeline
            ),
            hint: "point the plan's source at the server that the relay follows, or let the \
                   relay follow the source (primary_conninfo), then run this again; if it cannot, \
                   `trunkline abort` and begin anew with another standby"
                .to_owned(),
        });
    }
    Ok(there.timeline)
}

async fn identity(server: &Conninfo, whose: &str) -> Result<SystemIdentity, Error> {
    let doing = || format!("asking {whose} which server it is");
    let walsender = ReplicationSession::connect(server, "look").await;
    let mut walsender = walsender.on(Side::Source, doing())?;
    let identity = walsender
        .identify_system()
        .await
        .on(Side::Source, doing())?;
    walsender.close().await;
    Ok(identity)
}

/// A relay that was promoted does not see what is written on the source.
pub(crate) fn refuse_promoted(look: &Look) -> Result<(), Error> {
    if look.is_standby {
        return Ok(());
    }
    Err(Error::Refused {
        why: "the relay was promoted: what is written on the source does not reach it any more"
            .to_owned(),
        hint: "`trunkline abort`, then begin anew: with another standby of the source; or, if \
               clients are on the promoted server, with that as the source and without [relay]"
            .to_owned(),
    })
}

/// Waits until the relay has replayed what is committed on the source now.
pub(crate) async fn caught_up(
    run: &Run<'_>,
    source: &mut Session,
    relay: &mut Session,
) -> Result<(), Error> {
    let marker = emit(source, Side::Source, "relay").await?;
    wait(
        run,
        "until the relay has replayed the source's log",
        async || {
            let doing = "reading how far the relay has replayed";
            let look = look(relay, "").await.on(Side::Source, doing)?;
            refuse_promoted(&look)?;
            Ok(look.replayed > marker)
        },
    )
    .await
}

/// Waits until the source keeps, for the relay, the catalog rows that its slot decodes with.
/// Until the relay has reported that it needs them, vacuum on the source may remove them, and
/// the slot is lost once the relay replays that. Gives whether the slot is whole.
pub(crate) async fn is_held_back(
    run: &Run<'_>,
    source: &mut Session,
    relay: &mut Session,
    slot: &str,
) -> Result<bool, Error> {
    let (side, doing) = (Side::Source, "looking what is kept for the relay");
    let physical = physical_slot(run.plan, &look(relay, slot).await.on(side, doing)?);
    let Some(physical) = physical else {
        return Ok(true);
    };
    let mut whole = true;
    wait(
        run,
        "until the relay's feedback has reached the source",
        async || {
            let sql = "SELECT catalog_xmin::text, conflicting FROM pg_catalog.pg_replication_slots \
                   WHERE slot_name = $1";
            let row = relay.query_opt(sql, &[&slot]).await.on(side, doing)?;
            let read = |row: &DataRow| Ok((row.get(0)?, row.get(1)?));
            let facts: Option<(Option<String>, Option<bool>)> =
                row.as_ref().map(read).transpose().on(side, doing)?;
            let Some((Some(xmin), Some(false))) = facts else {
                whole = false;
                return Ok(true);
            };
            let sql = include_str!("sql/relay_held_back.sql");
            let row = source.query_one(sql, &[&physical, &xmin]).await;
            Ok(row.and_then(|row| row.get(0)).on(side, doing)?)
        },
    )
    .await?;
    Ok(whole)
}

/// Looks again and again; after a while it says what is waited for.
async fn wait(
    run: &Run<'_>,
    what: &str,
    mut done: impl AsyncFnMut() -> Result<bool, Error>,
) -> Result<(), Error> {
    let began = Instant::now();
    let mut said = false;
    while !done().await? {
        run.stop_if_cancelled()?;
        if !said && began.elapsed() >= SLOT_PATIENCE {
            said = true;
            let warning = format!("waiting {what}");
            run.observer.notice(Notice::Warning(&warning));
        }
        tokio::time::sleep(RELAY_LOOK).await;
    }
    Ok(())
}

/// Makes the source write the record that a slot on the relay waits for; says once, if our
/// role may not ask for it, how long that can take.
pub(crate) struct Nudge {
    next: Instant,
    said: bool,
}

impl Nudge {
    pub(crate) fn new() -> Self {
        Nudge {
            next: Instant::now(),
            said: false,
        }
    }

    /// When the record is to be asked for again.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    pub(crate) async fn push(&mut self, run: &Run<'_>, source: &mut Session) -> Result<(), Error> {
        const AGAIN: Duration = Duration::from_millis(300);
        let doing = "asking for the record of running transactions";
        let record = log_running_transactions(source)
            .await
            .on(Side::Source, doing)?;
        self.next = Instant::now() + AGAIN;
        if record == RunningRecord::Expected && !self.said {
            self.said = true;
            run.observer.notice(Notice::Warning(
                "a slot on the relay waits for records that the source writes every 15 s; with \
                 GRANT EXECUTE ON FUNCTION pg_log_standby_snapshot() to our role on the source \
                 it takes a second",
            ));
        }
        Ok(())
    }
}
