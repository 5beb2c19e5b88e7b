//! The subscription's own copy of the rows: let run, watched until every table is ready.

use std::time::Instant;

use trunkline_changes::Side;
use trunkline_load::{Inventory, Loader};

use super::again::{self, Stranded};
use super::status::Trouble;
use super::{ensure, gone, refuse_without_slot, resume, seen, slot_seen, tables};
use crate::error::Error;
use crate::limits::{BUDGET_LOOK, TICK};
use crate::observer::Notice;
use crate::phases::copying;
use crate::plan::RowsBy;
use crate::run::Run;
use crate::waiting;

/// Brings the rows of every table in the subscription. Keys must stand before: changes flow
/// to a table as soon as it has its rows.
pub(crate) async fn sync(run: &mut Run<'_>) -> Result<(), Error> {
    let name = ensure(run, RowsBy::Subscription).await?;
    let leg = run.leg()?.clone();
    let mut source = run.connect(Side::Source, "watch").await?;
    let mut to = run.connect(Side::Target, "watch").await?;
    resume(run, &leg, &name, &mut source, &mut to).await?;
    again::go_on(run, &mut source, &mut to).await?;
    run.step("the subscription copies the rows");
    let mut trouble = Trouble::default();
    let mut stranded = Stranded::default();
    let mut told = None;
    let mut looked = Instant::now();
    loop {
        let now = seen(&mut to, &name).await?.ok_or_else(|| gone(&name))?;
        run.alive();
        if told != Some(now.ready) {
            told = Some(now.ready);
            let step = format!("{} of {} tables have their rows", now.ready, now.tables);
            run.step(&step);
        }
        if now.is_ready() {
            break;
        }
        if let Some(what) = trouble.look(&mut to, &name, &now).await? {
            run.observer.notice(Notice::Warning(&what));
        }
        if looked.elapsed() >= BUDGET_LOOK {
            looked = Instant::now();
            let slot = slot_seen(&mut source, &leg.slot.name).await?;
            refuse_without_slot(&slot, &leg.slot.name)?;
            let lost = stranded.look(&mut source, &mut to, &name).await?;
            if !lost.is_empty() {
                again::begin(run, &mut source, &mut to, &lost).await?;
                stranded = Stranded::default();
            }
            run.look_at_source(&mut source, None, &leg).await?;
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = run.cancel.cancelled() => {
                return Err(Error::Interrupted(run.control.state().phase));
            }
        }
    }
    source.close().await;
    to.close().await;
    Ok(())
}

/// The tables whose rows the subscription brings.
pub(crate) async fn names(
    run: &mut Run<'_>,
) -> Result<std::collections::BTreeSet<trunkline_changes::TableName>, Error> {
    let Some(name) = run.control.state().subscription().map(str::to_owned) else {
        return Ok(std::collections::BTreeSet::new());
    };
    let tables = tables(run.control.session()?, &name).await?;
    Ok(tables.into_iter().map(|table| table.name).collect())
}

/// Keys, rows, and what else stands on them.
pub(crate) async fn copy(
    run: &mut Run<'_>,
    loader: &Loader,
    inventory: &Inventory,
) -> Result<(), Error> {
    run.step("keys");
    let built = waiting::told(run.plan, run.observer, loader.build_keys(inventory)).await;
    built.map_err(|error| copying::ended_by(run, error))?;
    sync(run).await
}
