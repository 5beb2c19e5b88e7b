//! Prepared → Loaded, where the first rows come with a physical copy of the source.
//!
//! Needs: the slot, made before the copy. Does: has the copy made, or waits for somebody
//! else's; finds the position up to which it holds the source's history; shows it by rows that
//! changed around it; removes what came along; brings the journal to the target. Looks: the
//! journal in the migration's folder, the receipt in the copy's. Undone: [`super::ending`].
//!
//! Why nothing is lost and nothing comes twice: a physical copy that recovered up to a position
//! holds exactly the transactions whose commit record begins before it, and the stream is
//! applied from the first whose commit record begins at it or later. What snapshots saw plays
//! no part in this, so no transaction needs to be waited for. One that is open across the whole
//! copy is undone there by its end of recovery, and comes whole through the stream.

mod came_along;
pub(crate) mod own_copy;
mod position;
mod probe;
mod touched;
mod window;

use trunkline_capture::{Feed, slot};
use trunkline_changes::{Lsn, Side, quote_ident, quote_literal};
use trunkline_postgres::{Conninfo, OnSide, Session};

use crate::checks::{self, Verdict};
use crate::commands::looked;
use crate::error::Error;
use crate::follow;
use crate::journal::Entry;
use crate::observer::Notice;
use crate::phase::Event;
use crate::phases::copying;
use crate::plan::{BaseBackup, PositionFrom, Snapshot};
use crate::run::Run;

/// Whether the target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seeding {
    /// It does, and changes can be applied.
    Done,
    /// Somebody has to make the copy and to say its position.
    Awaited,
}

/// What is left to somebody else.
pub(crate) fn what_is_awaited() -> Vec<String> {
    [
        "copy the source's storage now (snapshot, clone, or file system), and start a server on \
         the copy: the target of the plan",
        "put the copy's position into the plan's [seed]: `position` or `position_from`",
        "trunkline run, with that plan (goes on from there); until then the source keeps its log",
        "trunkline abort, to give the move up",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Written to our publication once the slot stands: a copy without it is older than the slot.
const MARK: &str = "the slot stands";

/// Leaves a mark that only a copy has which is made from now on.
pub(crate) async fn mark(run: &Run<'_>, source: &mut Session) -> Result<(), Error> {
    if run.plan.publication.is_some() {
        return Ok(());
    }
    let name = run.control.identity().object_name(1);
    let sql = format!(
        "COMMENT ON PUBLICATION {} IS {}",
        quote_ident(&name),
        quote_literal(MARK)
    );
    let marked = source.batch(&sql).await;
    marked.on(Side::Source, "marking the publication")?;
    Ok(())
}

/// Brings the target to where changes can be applied.
pub(crate) async fn seed(run: &mut Run<'_>) -> Result<Seeding, Error> {
    let Some(snapshot) = run.plan.seed.snapshot() else {
        return Err(Error::internal(&"the plan names no storage copy"));
    };
    match snapshot {
        Snapshot::BaseBackup(made) => from_own(run, made).await?,
        Snapshot::Operator(Some(from)) => from_given(run, from).await?,
        Snapshot::Operator(None) => return Ok(Seeding::Awaited),
    }
    run.step("checking both servers");
    let findings = looked(run).await?;
    if let Verdict::Blocked { .. } = checks::verdict(&findings) {
        return Err(Error::Preflight(findings));
    }
    run.control.move_in().await?;
    let at = run.control.state().seed.ok_or_else(lost)?;
    run.control.moved(Event::Seeded { at }).await?;
    Ok(Seeding::Done)
}

fn lost() -> Error {
    Error::internal(&"the seed's position is not in the journal")
}

async fn from_own(run: &mut Run<'_>, made: &BaseBackup) -> Result<(), Error> {
    if own_copy::start_upgraded(run, made).await? {
        return Ok(());
    }
    let (instance, private, position) = own_copy::make(run, made).await?;
    let recorded = run.leg()?.slot.system_id.clone();
    let found = instance.control_file()?.system_id.to_string();
    if recorded != found {
        return Err(Error::Refused {
            why: format!(
                "the copy has the system identifier {found}, and the slot was made on {recorded}"
            ),
            hint: "`trunkline abort`, then begin anew".to_owned(),
        });
    }
    prove(run, &private, position).await?;
    came_along::remove(run, &private).await?;
    match made.upgrade_to {
        None => own_copy::open(run, &instance).await,
        Some(major) => own_copy::upgrade(run, made, major, &instance, &private).await,
    }
}

async fn from_given(run: &mut Run<'_>, from: &PositionFrom) -> Result<(), Error> {
    let target = run.plan.target.clone();
    let mut source = run.connect(Side::Source, "seed").await?;
    let mut copy = run.connect(Side::Target, "seed").await?;
    let leg = run.leg()?.clone();
    let position = position::find(from, &mut source, &mut copy).await?;
    let one_history = position::refuse_strangers(&mut source, &mut copy, &leg, position).await?;
    refuse_older_than_the_slot(run, &mut copy).await?;
    source.close().await;
    copy.close().await;
    let (proof, position) = prove(run, &target, position).await?;
    if !one_history && (proof.before == 0 || proof.after == 0) {
        return Err(Error::Refused {
            why: "the copy was upgraded, so that its system identifier is another one, and no row \
                  that changed around the seed position shows that it is the source's"
                .to_owned(),
            hint: "let clients change some rows of tables with a key just before and after the \
                   copy is made"
                .to_owned(),
        });
    }
    if run.control.state().seed != Some(position) {
        run.control.record(Entry::SeedFound { position }).await?;
    }
    came_along::remove(run, &target).await
}

async fn refuse_older_than_the_slot(run: &Run<'_>, copy: &mut Session) -> Result<(), Error> {
    if run.plan.publication.is_some() || run.control.state().seed.is_some() {
        // Without a mark the rows alone tell; and with a position the mark was seen, and is
        // removed.
        return Ok(());
    }
    let doing = "looking for the mark on the copy";
    let name = run.control.identity().object_name(1);
    let sql = "SELECT pg_catalog.obj_description(oid, 'pg_publication') \
               FROM pg_catalog.pg_publication WHERE pubname = $1::text";
    let row = copy
        .query_opt(sql, &[&name])
        .await
        .on(Side::Target, doing)?;
    let comment: Option<String> = match row {
        Some(row) => row.get(0).on(Side::Target, doing)?,
        None => None,
    };
    if comment.as_deref() == Some(MARK) {
        return Ok(());
    }
    Err(Error::Refused {
        why: format!(
            "the target is no copy of the source, or was copied before the slot was made: the \
             publication {name} is not on it as it is on the source"
        ),
        hint: "make the copy anew, after `trunkline run` said that it waits for it".to_owned(),
    })
}

/// Shows by rows that changed around the position that the copy stands exactly there. Gives
/// the position from which the stream can go on.
async fn prove(
    run: &Run<'_>,
    copy: &Conninfo,
    position: Lsn,
) -> Result<(probe::Proof, Lsn), Error> {
    run.step("proving the seed's position");
    let leg = run.leg()?.clone();
    slot::examine(&run.plan.source, Side::Source, &leg.slot, position).await?;
    let feed = Feed {
        conninfo: run.plan.source.clone(),
        side: Side::Source,
        slot: leg.slot.name.clone(),
        decoder: follow::opening::decoder(run, &leg),
    };
    let spill = copying::folder(run)?;
    let window = window::read(run, &feed, leg.slot.consistent_point, position, &spill).await?;
    let doing = "connecting to the copy";
    let mut session = Session::connect(copy, "seed")
        .await
        .on(Side::Target, doing)?;
    let proof = probe::prove(&mut session, &window, position).await?;
    session.close().await;
    say(run, &window, proof, position);
    Ok((proof, window.position))
}

fn say(run: &Run<'_>, window: &window::Window, proof: probe::Proof, position: Lsn) {
    let quiet = window.before.is_empty() && window.after.is_empty();
    if quiet {
        run.step(&format!(
            "seed position {position}: nothing changed around it, so that nothing can be missing \
             or come twice"
        ));
        return;
    }
    run.step(&format!(
        "seed position {position}: {} rows changed before it are there, {} changed after it are \
         not there yet ({} transactions read)",
        proof.before, proof.after, window.transactions
    ));
    for (part, proved, empty) in [
        ("before", proof.before, window.before.is_empty()),
        ("after", proof.after, window.after.is_empty()),
    ] {
        if proved == 0 && !empty {
            let warning = format!(
                "what changed {part} the seed position has no key to look for, so that side of it \
                 is not proved"
            );
            run.observer.notice(Notice::Warning(&warning));
        }
    }
}
