//! Before each switch: what changes will flow back through is made on the side that is to
//! serve, so that not one write of a client there is missed.
//!
//! Needs: `wal_level = logical` and REPLICATION there, and on the other side a role that may
//! apply. Does: the schema `trunkline` where changes will go, publications and a slot where
//! they will come from; the position from which they count is read in the pause. Looks: the
//! journal's receipts. Undone: [`give_up`]; what a switch left behind: [`clear_behind`].

use trunkline_changes::{Lsn, Side, TableName};
use trunkline_load::Table;
use trunkline_postgres::OnSide;

use super::cutover::consumers;
use super::prepare::{self, Bound};
use super::publishing::{self, Publishing};
use crate::checks::Standing;
use crate::checks::transform::WHY_NO_WAY_BACK;
use crate::checks::way_back::{self, Obstacle, Question};
use crate::control;
use crate::error::Error;
use crate::journal::{Entry, Leg, Object};
use crate::limits::WAY_BACK_SLOT_WITHIN;
use crate::plan::WayBack;
use crate::run::{Run, Tables, is_streamed};
use crate::standby::removing;
use crate::way::Way;

/// Refuses at once, before anything is compared or held, a switch after which nothing could
/// flow back, or which could not be taken back: what `check` warns of.
pub(crate) async fn refuse_impossible(run: &Run<'_>) -> Result<(), Error> {
    let plan = run.plan;
    if plan.cutover.way_back == WayBack::None {
        return Ok(());
    }
    let way = run.way();
    if way == Way::There && plan.transform.leaves_something_behind() {
        return Err(Error::Refused {
            why: format!("there would be no way back: {WHY_NO_WAY_BACK}"),
            hint: "give the way back up with --no-way-back, or `way_back = \"none\"` in the plan"
                .to_owned(),
        });
    }
    let layout = run.layout().await?;
    let mut from = run.connect(way.from(), "way back").await?;
    let mut to = run.connect(way.to(), "way back").await?;
    let insert_only = |table: &TableName| {
        let scope = plan.insert_only.as_ref();
        scope.is_some_and(|scope| scope.covers_table(table))
    };
    let question = Question {
        way,
        scope: &|table| plan.scope.covers_table(table),
        placed: &|table| layout.source_of(table).cloned(),
        insert_only: &insert_only,
        maintenance_database: &plan.cutover.maintenance_database,
        downstream: &plan.downstream,
        own_subscription: run.control.state().subscription(),
        tables: Standing::There,
    };
    let found = way_back::obstacles(&mut from, &mut to, &question).await?;
    from.close().await;
    to.close().await;
    if found.is_empty() {
        return Ok(());
    }
    Err(refused(way, &found))
}

fn refused(way: Way, found: &[Obstacle]) -> Error {
    let whys: Vec<&str> = found.iter().map(|obstacle| obstacle.why.as_str()).collect();
    let mut remedies: Vec<String> = Vec::new();
    for obstacle in found {
        if let Some(remedy) = &obstacle.remedy {
            let remedy = format!("on the {}: {remedy}", obstacle.side);
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
    }
    if remedies.is_empty() {
        remedies.push("mend what is named".to_owned());
    }
    let remedies = remedies.join("\n      ");
    let (what, hint) = match way {
        // What any switch needs is not given up with the way back.
        Way::There if found.iter().any(|obstacle| obstacle.is_of_the_switch(way)) => {
            ("it cannot be switched and taken back", remedies)
        }
        Way::There => (
            "there would be no way back",
            format!("{remedies}\n      or give the way back up with --no-way-back"),
        ),
        Way::Back => ("there would be no way to the target again", remedies),
    };
    Error::Refused {
        why: format!("{what}: {}", whys.join("; ")),
        hint,
    }
}

/// Makes what the next leg follows. Changes count from a position that only the pause knows.
pub(crate) async fn prepare(run: &mut Run<'_>) -> Result<(), Error> {
    if run.plan.cutover.way_back == WayBack::None {
        return Ok(());
    }
    run.step("preparing the way back");
    prepare_records(run).await?;
    let tables = run.tables_and_places(run.way().turned()).await?;
    prepare_leg(run, tables).await
}

/// What changes that flow back are recorded in.
pub(crate) async fn prepare_records(run: &mut Run<'_>) -> Result<(), Error> {
    let to = run.way().turned().to();
    if to == Side::Source {
        refuse_anothers_records(run).await?;
        let records = Entry::Making(Object::SourceRecords);
        run.control.record(records).await?;
        let mut session = run.connect(to, "way back").await?;
        control::make_tables(&mut session, to).await?;
        // What an earlier rollback left of its journal here says nothing any more.
        let name = run.control.identity().name.clone();
        let empty = "DELETE FROM trunkline.journal WHERE migration = $1";
        let emptied = session.execute(empty, &[&name]).await;
        emptied.on(to, "forgetting the journal of an earlier rollback")?;
        session.close().await;
    }
    Ok(())
}

/// The publications and the slot that changes flow back through.
pub(crate) async fn prepare_leg(run: &mut Run<'_>, mut standing: Tables) -> Result<(), Error> {
    let way = run.way().turned();
    let from = way.from();
    let tables = std::mem::take(&mut standing.moving);
    let (placed, left_out): (Vec<_>, Vec<_>) = tables
        .into_iter()
        .partition(|table| standing.places.contains_key(&table.name));
    // The first one is of the copy, which a standby has none of.
    let number = run.control.state().legs.max(1) + 1;
    let mut session = run.connect(from, "way back").await?;
    let what = Publishing {
        way,
        tables: &placed,
        layout: standing.layout(),
        major: session.version().major(),
    };
    publishing::publish(run, &mut session, number, &what).await?;
    let slot = prepare::make_slot(
        run,
        &mut session,
        way,
        number,
        Bound::Within(WAY_BACK_SLOT_WITHIN),
    )
    .await?;
    session.close().await;
    // Tables of the target's own stay there. On the source, all in scope belong to the move: one
    // that the target lost since is a gap.
    let own = |table: &&Table| way == Way::Back && is_streamed(table);
    let left_out = left_out.iter().filter(own);
    let leg = Leg {
        number,
        way,
        start: slot.consistent_point,
        slot,
        left_out: left_out.map(|table| table.name.clone()).collect(),
        streamed: publishing::streamed(run.plan, way, &placed),
    };
    run.control.record(Entry::LegPrepared(leg)).await
}

/// The schema `trunkline` of another migration, whose target the source is, is not ours to
/// write into or to drop.
async fn refuse_anothers_records(run: &Run<'_>) -> Result<(), Error> {
    if run
        .control
        .state()
        .receipts
        .contains(&Object::SourceRecords)
    {
        return Ok(());
    }
    let (side, doing) = (Side::Source, "looking for another migration's records");
    let mut source = run.connect(side, "way back").await?;
    let row = source
        .query_one(
            "SELECT pg_catalog.to_regclass('trunkline.migration') IS NOT NULL",
            &[],
        )
        .await;
    let stands: bool = row.and_then(|row| row.get(0)).on(side, doing)?;
    source.close().await;
    if !stands {
        return Ok(());
    }
    Err(Error::Refused {
        why: "the source holds the records of another migration, in its schema trunkline"
            .to_owned(),
        hint: "complete or abort that one first; or cut over with --no-way-back".to_owned(),
    })
}

/// From where on changes on the side that is to serve are its clients': read once the last
/// of ours is committed there.
pub(crate) async fn onwards(
    run: &Run<'_>,
    to: &mut trunkline_postgres::Session,
) -> Result<Option<Lsn>, Error> {
    if run.control.state().next_leg.is_none() {
        return Ok(None);
    }
    let (side, doing) = (run.way().to(), "reading the position to go on from");
    let row = to
        .query_one("SELECT pg_catalog.pg_current_wal_insert_lsn()", &[])
        .await
        .on(side, doing)?;
    Ok(Some(row.get(0).on(side, doing)?))
}

/// After a switch that was given up: nothing of the next leg stays, so that the side which
/// does not serve keeps no log for it.
pub(crate) async fn give_up(run: &mut Run<'_>) -> Result<(), Error> {
    let state = run.control.state();
    let first = state.leg.as_ref().is_none_or(|leg| leg.number == 1);
    let ours = |object: &Object| {
        object.is_followed_on(state.way().to()) || (first && *object == Object::SourceRecords)
    };
    let (nothing_next, nothing_made) = (state.next_leg.is_none(), !state.receipts.iter().any(ours));
    if !state.downstream_handed {
        consumers::drop_made(run).await?;
    }
    if nothing_next && nothing_made {
        return Ok(());
    }
    run.step("taking back what the way back needed");
    prepare::undo(run, run.way().to()).await?;
    let state = run.control.state();
    if state.way().from() == Side::Source {
        remove_records(run).await?;
    }
    run.control.record(Entry::LegGivenUp).await
}

/// After a switch: what the leg before followed is of no use any more, and would only make
/// its server keep its log.
pub(crate) async fn clear_behind(run: &mut Run<'_>) -> Result<Vec<String>, Error> {
    let mut done = prepare::undo(run, run.way().to()).await?;
    done.extend(removing::leave_slot(run).await?);
    Ok(done)
}

/// Removes the schema `trunkline` from the source, if it is ours.
pub(crate) async fn remove_records(run: &mut Run<'_>) -> Result<Option<String>, Error> {
    if !run
        .control
        .state()
        .receipts
        .contains(&Object::SourceRecords)
    {
        return Ok(None);
    }
    let (side, doing) = (Side::Source, "removing the schema trunkline");
    let mut source = run.connect(side, "clean up").await?;
    let remove = include_str!("../sql/records_remove.sql");
    source.batch(remove).await.on(side, doing)?;
    source.close().await;
    let removed = Entry::Removed(Object::SourceRecords);
    run.control.record(removed).await?;
    Ok(Some(
        "dropped the schema trunkline on the source".to_owned(),
    ))
}
