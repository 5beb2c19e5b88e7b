//! Opening a migration whose target may be closed: a rollback that died left its fence there,
//! and the journal on the source says what to do about it.

use trunkline_changes::{Side, quote_ident};
use trunkline_postgres::{OnSide, Session};

use crate::control::{self, Claim, Control, away};
use crate::error::Error;
use crate::fence;
use crate::phase::Phase;
use crate::plan::Plan;

/// Opens the journal, wherever it is, and brings it home.
pub(super) async fn open(plan: &Plan, claim: Claim, begin: bool) -> Result<Control, Error> {
    if let Some(control) = open_file(plan, claim, false).await? {
        return Ok(control);
    }
    let begin_there = begin && !plan.begins_in_file();
    let opened = match Control::open(&plan.target, &plan.name, claim, begin_there).await {
        Err(error) if is_closed(&error) => {
            reopen(plan, claim, error).await?;
            Control::open(&plan.target, &plan.name, claim, begin_there).await
        }
        opened => opened,
    };
    let mut control = match opened {
        Err(error) if begin && plan.begins_in_file() && !matches!(error, Error::Held { .. }) => {
            // The target is not there yet, or not a migration's. A file whose journal went on
            // there begins nothing.
            return open_file(plan, claim, true).await?.ok_or(error);
        }
        opened => opened?,
    };
    control.follow_away(&plan.source).await?;
    Ok(control)
}

/// A journal that has not moved to the target yet.
async fn open_file(plan: &Plan, claim: Claim, begin: bool) -> Result<Option<Control>, Error> {
    Control::open_file(&plan.dir, &plan.target, &plan.name, claim, begin).await
}

/// The same for an operator who says that the source is gone: its journal is not asked for.
pub(super) async fn open_alone(plan: &Plan, claim: Claim) -> Result<Control, Error> {
    if let Some(control) = open_file(plan, claim, false).await? {
        return Ok(control);
    }
    match Control::open(&plan.target, &plan.name, claim, false).await {
        Err(error) if is_closed(&error) => {
            let mut outside = outside(plan).await?;
            let database = quote_ident(plan.target.database());
            let sql = format!("ALTER DATABASE {database} WITH ALLOW_CONNECTIONS true");
            outside
                .batch(&sql)
                .await
                .on(Side::Target, "opening the database that a rollback closed")?;
            outside.close().await;
            Control::open(&plan.target, &plan.name, claim, false).await
        }
        opened => opened,
    }
}

async fn outside(plan: &Plan) -> Result<Session, Error> {
    let maintenance = &plan.cutover.maintenance_database;
    let conninfo = plan.target.with_database(maintenance);
    let doing = format!("connecting to the maintenance database {maintenance}");
    let session = Session::connect(&conninfo, "fence").await;
    Ok(session.on(Side::Target, doing)?)
}

/// Whether the target's database takes no connection (SQLSTATE 55000,
/// `object_not_in_prerequisite_state`, at the start of a session).
pub(crate) fn is_closed(error: &Error) -> bool {
    matches!(error, Error::Server(fault) if fault.side == Side::Target
        && fault.cause.sqlstate().is_some_and(|state| state.as_str() == "55000"))
}

/// Whether a rollback closes the target, or has: it takes no connection, or its journal says so.
pub(super) async fn is_rolled_back(plan: &Plan) -> bool {
    let looked = async {
        let doing = "looking who ended our session";
        let connected = Session::connect(&plan.target, "control").await;
        let mut target = connected.on(Side::Target, doing)?;
        let known = control::peek(&mut target, &plan.name).await?;
        target.close().await;
        Ok::<_, Error>(known)
    };
    match looked.await {
        Ok(known) => {
            known.is_some_and(|(_, state)| state.away || state.fence(Side::Target).is_some())
        }
        Err(error) => is_closed(&error),
    }
}

/// Lets us in again: before the rollback's point of no return its fence is lifted, because
/// the target serves; behind it, only we get in.
async fn reopen(plan: &Plan, claim: Claim, closed: Error) -> Result<(), Error> {
    let Some((journal, state)) = away::claim(&plan.source, &plan.name, claim).await? else {
        // Whoever held it may just have finished.
        return Ok(());
    };
    let Some(before) = state.fence(Side::Target) else {
        return Err(closed);
    };
    let mut outside = outside(plan).await?;
    if state.phase == Phase::RolledBack {
        let stands = fence::stand(&mut outside, Side::Target, before).await?;
        if stands == fence::AfterSwitch::Closed {
            return Err(Error::Refused {
                why: "the target stays closed since the rollback: a superuser's own settings \
                      would let it write there"
                    .to_owned(),
                hint: "take `default_transaction_read_only = off` from the superusers of the \
                       target (ALTER ROLE ... RESET default_transaction_read_only), then run this \
                       again"
                    .to_owned(),
            });
        }
    } else {
        fence::lift(&mut outside, Side::Target, before).await?;
    }
    outside.close().await;
    journal.close().await;
    Ok(())
}
