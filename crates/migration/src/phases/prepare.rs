//! Checked → Prepared: publications and slot on the source. The same things are made on the
//! side that is to serve before each switch: see [`super::way_back`].
//!
//! Needs: a role that owns the tables and has REPLICATION. Does: journals the intent, makes
//! the publications, then the slot (from there on no change is lost). Looks: by name, which
//! is ours alone. Undone: [`undo`], by the receipts in the journal.

mod slots;

use std::collections::BTreeSet;

use trunkline_capture::slot::{SlotRecord, drop_slot};
use trunkline_changes::{Side, quote_ident};
use trunkline_load::Table;
use trunkline_postgres::{OnSide, PgError, Session};

use crate::error::Error;
use crate::journal::{Entry, Leg, Object};
use crate::phase::Event;
use crate::phases::ddl_log;
use crate::phases::verifying::coverage;
use crate::plan::{Plan, RelayPlan};
use crate::relay;
use crate::run::{Run, is_streamed};
use crate::way::Way;
use slots::outlast_commits_under_way;
pub(crate) use slots::{Bound, make_slot, patiently};

/// What one publication publishes.
struct Publication {
    name: String,
    operations: &'static str,
    tables: Vec<String>,
}

impl Publication {
    fn sql(&self) -> String {
        let name = quote_ident(&self.name);
        let tables = match self.tables.as_slice() {
            [] => String::new(),
            tables => format!(" FOR TABLE ONLY {}", tables.join(", ONLY ")),
        };
        format!(
            "CREATE PUBLICATION {name}{tables} WITH (publish = '{}')",
            self.operations
        )
    }
}

/// The publications for the tables in scope: leaves by their own names, tables without a
/// replica identity in a publication of their own that promises inserts only.
fn publications(plan: &Plan, way: Way, base: &str, tables: &[Table]) -> Vec<Publication> {
    if way == Way::There && plan.publication.is_some() {
        return Vec::new();
    }
    let insert_only = |table: &Table| {
        let scope = plan.insert_only.as_ref();
        scope.is_some_and(|scope| scope.covers_table(&table.name))
    };
    let names = |wanted: bool| -> Vec<String> {
        let streamed = tables.iter().filter(|table| is_streamed(table));
        let chosen = streamed.filter(|table| insert_only(table) == wanted);
        chosen.map(|table| table.name.quoted()).collect()
    };
    let mut publications = vec![Publication {
        name: base.to_owned(),
        operations: "insert, update, delete, truncate",
        tables: names(false),
    }];
    let inserts = names(true);
    if !inserts.is_empty() {
        publications.push(Publication {
            name: format!("{base}_i"),
            operations: "insert, truncate",
            tables: inserts,
        });
    }
    publications
}

/// The statements that this phase runs on the source, for `plan`.
pub(crate) fn statements(plan: &Plan, name: &str, tables: &[Table]) -> Vec<String> {
    let made = publications(plan, Way::There, name, tables);
    let mut sql: Vec<String> = made.iter().map(Publication::sql).collect();
    sql.extend(ddl_log::statements(plan, name));
    sql.push(format!(
        "CREATE_REPLICATION_SLOT {} LOGICAL pgoutput",
        quote_ident(name)
    ));
    sql
}

/// Makes what is missing.
pub(crate) async fn prepare(run: &mut Run<'_>) -> Result<(), Error> {
    const FIRST: u32 = 1;
    let mut source = run.connect(Side::Source, "prepare").await?;
    let tables = trunkline_load::tables(&mut source, &run.plan.scope).await?;
    run.step("publication");
    if let Some(given) = &run.plan.publication {
        refuse_incomplete(&mut source, given, &tables).await?;
    }
    publish(run, &mut source, Way::There, FIRST, &tables).await?;
    let slot = make_slot(run, &mut source, Side::Source, FIRST, Bound::None).await?;
    if run.plan.relay.is_none() {
        // From a relay rows are read under snapshots that are built from the log, too.
        outlast_commits_under_way(run, &mut source).await?;
    }
    let leg = Leg {
        number: FIRST,
        way: Way::There,
        start: slot.consistent_point,
        slot,
        left_out: BTreeSet::new(),
    };
    run.control.record(Entry::LegPrepared(leg)).await?;
    source.close().await;
    run.control.moved(Event::SourcePrepared).await
}

/// Makes a leg's publications, and its log of changes of structure, on the side that its
/// changes come from.
pub(crate) async fn publish(
    run: &mut Run<'_>,
    from: &mut Session,
    way: Way,
    number: u32,
    tables: &[Table],
) -> Result<(), Error> {
    let (side, doing) = (way.from(), "making the publication");
    let base = run.control.identity().object_name(number);
    for publication in publications(run.plan, way, &base, tables) {
        let name = publication.name.clone();
        let object = Object::Publication { side, name };
        run.control.record(Entry::Making(object)).await?;
        if !publication_exists(from, &publication.name)
            .await
            .on(side, doing)?
        {
            from.batch(&publication.sql()).await.on(side, doing)?;
        }
    }
    ddl_log::make(run, from, way, number).await
}

/// An administrator's publication must be there and name every table: the changes of one
/// that it leaves out would be lost.
async fn refuse_incomplete(
    source: &mut Session,
    given: &str,
    tables: &[Table],
) -> Result<(), Error> {
    let doing = "looking at the publication";
    let hint = "`trunkline sql publication` prints the statement that makes it".to_owned();
    if !publication_exists(source, given)
        .await
        .on(Side::Source, doing)?
    {
        return Err(Error::Refused {
            why: format!("the plan's publication \"{given}\" does not exist on the source"),
            hint,
        });
    }
    let published = coverage::published(source, Side::Source, &[given.to_owned()]).await?;
    let missing: Vec<String> = tables
        .iter()
        .filter(|table| is_streamed(table) && !published.contains(&table.name))
        .map(|table| table.name.to_string())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        why: format!(
            "the plan's publication \"{given}\" leaves out {}",
            missing.join(", ")
        ),
        hint,
    })
}

async fn publication_exists(source: &mut Session, name: &str) -> Result<bool, PgError> {
    let sql = "SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = $1";
    Ok(source.query_opt(sql, &[&name]).await?.is_some())
}

fn record_to_drop(name: &str, database: &str) -> SlotRecord {
    SlotRecord {
        name: name.to_owned(),
        plugin: trunkline_capture::slot::PLUGIN.to_owned(),
        database: database.to_owned(),
        system_id: String::new(),
        timeline: 0,
        consistent_point: trunkline_changes::Lsn::ZERO,
    }
}

/// Removes the publications and slots that we made on a side, by their receipts.
pub(crate) async fn undo(run: &mut Run<'_>, side: Side) -> Result<Vec<String>, Error> {
    let of_side = |object: &&Object| object.is_followed_on(side);
    let receipts = &run.control.state().receipts;
    let ours: Vec<Object> = receipts.iter().rev().filter(of_side).cloned().collect();
    let mut removed = Vec::new();
    if ours.is_empty() {
        return Ok(removed);
    }
    let mut session = run.connect(side, "clean up").await?;
    for object in ours {
        removed.extend(remove(run, &mut session, side, &object).await?);
        run.control.record(Entry::Removed(object)).await?;
    }
    session.close().await;
    Ok(removed)
}

async fn remove(
    run: &Run<'_>,
    session: &mut Session,
    side: Side,
    object: &Object,
) -> Result<Option<String>, Error> {
    match object {
        Object::Slot { name, .. } => {
            let record = record_to_drop(name, run.plan.server(side).database());
            drop_slot(session, side, &record).await?;
            Ok(Some(format!("dropped the slot {name} on the {side}")))
        }
        Object::RelaySlot { name } => {
            let Some(on_relay) = &run.plan.relay else {
                return Ok(Some(format!(
                    "left on the relay, if it should come back: the slot {name}"
                )));
            };
            let mut there = relay_session(on_relay, name).await?;
            let record = record_to_drop(name, on_relay.server.database());
            drop_slot(&mut there, side, &record).await?;
            there.close().await;
            Ok(Some(format!("dropped the slot {name} on the relay")))
        }
        Object::Publication { name, .. } => {
            let sql = format!("DROP PUBLICATION IF EXISTS {}", quote_ident(name));
            session
                .batch(&sql)
                .await
                .on(side, "dropping the publication")?;
            Ok(Some(format!(
                "dropped the publication {name} on the {side}"
            )))
        }
        Object::DdlLog { name, .. } => {
            ddl_log::remove(session, side, name).await?;
            Ok(Some(format!(
                "dropped the log of changes of structure {name} on the {side}"
            )))
        }
        Object::Structure | Object::SourceRecords => Ok(None),
    }
}

/// A session on the relay to drop a slot. If it is gone for good, its slot is gone with it.
async fn relay_session(on_relay: &RelayPlan, slot: &str) -> Result<Session, Error> {
    match relay::connect(&on_relay.server, "clean up").await {
        Err(Error::Server(fault)) if fault.cause.sqlstate().is_none() => Err(Error::Refused {
            why: format!("the relay, on which the slot {slot} stands, does not answer: {fault}"),
            hint: "when it is back, run this again; if it is gone for good, take [relay] out of \
                   the plan, and the slot is left to it"
                .to_owned(),
        }),
        session => session,
    }
}
