//! Checked → Prepared: publications and slot on the source. The same things are made on the
//! side that is to serve before each switch: see [`super::way_back`].
//!
//! Needs: a role that owns the tables and has REPLICATION. Does: journals the intent, makes
//! the publications, then the slot (from there on no change is lost). Looks: by name, which
//! is ours alone. Undone: [`undo`], by the receipts in the journal.

use std::collections::BTreeSet;
use std::time::Duration;

use trunkline_capture::slot::{NewSlot, SlotRecord, drop_slot, open_transactions};
use trunkline_changes::{Side, quote_ident};
use trunkline_load::Table;
use trunkline_postgres::{Canceller, OnSide, PgError, Session};

use crate::error::Error;
use crate::journal::{Entry, Leg, Object};
use crate::limits::{CANCEL_WITHIN, OUTLAST_LOOK, SLOT_PATIENCE};
use crate::observer::Notice;
use crate::phase::Event;
use crate::phases::ddl_log;
use crate::phases::verifying::coverage;
use crate::plan::Plan;
use crate::run::{Run, is_streamed};
use crate::way::Way;

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
    outlast_commits_under_way(run, &mut source).await?;
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

/// Makes a leg's publications, and its log of changes of structure, on the side that its changes come from.
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

/// Makes a leg's slot on the side that its changes come from.
pub(crate) async fn make_slot(
    run: &mut Run<'_>,
    from: &mut Session,
    side: Side,
    number: u32,
    bound: Bound,
) -> Result<SlotRecord, Error> {
    let name = run.control.identity().object_name(number);
    let object = Object::Slot {
        side,
        name: name.clone(),
    };
    run.control.record(Entry::Making(object)).await?;
    // A slot without its record was made by a run that died in between: nothing was copied
    // yet, so a new one loses nothing.
    let server = run.plan.server(side);
    let record = record_to_drop(&name, server.database());
    drop_slot(from, side, &record).await?;
    run.step("replication slot");
    let slot = NewSlot::prepare(server, side).await?;
    let canceller = slot.canceller();
    let creation = async { Ok(slot.create(&name).await?) };
    let Bound::Within(time) = bound else {
        return patiently(run, from, side, &canceller, creation).await;
    };
    let made = patiently(run, from, side, &canceller, creation);
    if let Ok(made) = tokio::time::timeout(time, made).await {
        return made;
    }
    let waits_for = waited_for(from, side).await?;
    // The server gives the slot up.
    let _sent = tokio::time::timeout(CANCEL_WITHIN, canceller.cancel()).await;
    Err(Error::Refused {
        why: format!(
            "a slot on the {side} could not be made within {time:?}: it waits for {}",
            match waits_for.as_slice() {
                [] => "a transaction that has ended by now".to_owned(),
                named => named.join(", "),
            }
        ),
        hint: format!(
            "nobody was held; end what is named on the {side} (pg_terminate_backend, ROLLBACK \
             PREPARED), or wait for it, then run this again"
        ),
    })
}

/// How long a slot's creation may wait for open transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Until the operator interrupts it.
    None,
    /// So long; then it is refused, and says whom it waited for.
    Within(Duration),
}

/// Waits until every transaction that has a number now has ended.
///
/// A transaction's commit may lie in the log before the slot's consistent point, so that it
/// is not streamed, while snapshots do not see it yet: it is still on its way out (with
/// synchronous replication for as long as the standby does not answer). A table that is
/// read only after all these have ended has their rows.
async fn outlast_commits_under_way(run: &Run<'_>, source: &mut Session) -> Result<(), Error> {
    let doing = "waiting for transactions that were open when the slot was made";
    let read = async |source: &mut Session, sql: &str| -> Result<u64, Error> {
        let row = source.query_one(sql, &[]).await;
        Ok(row.and_then(|row| row.get(0)).on(Side::Source, doing)?)
    };
    // A number of our own, taken now: whatever has one already has a smaller one. (The end of
    // a snapshot would not do: it only comes after the newest transaction that has ended.)
    let now = read(source, include_str!("../sql/take_number.sql")).await?;
    let oldest = include_str!("../sql/oldest_running.sql");
    let mut looked = tokio::time::Instant::now();
    let mut said = BTreeSet::new();
    while read(source, oldest).await? < now {
        run.stop_if_cancelled()?;
        if looked.elapsed() >= SLOT_PATIENCE {
            say_who_is_waited_for(run, source, Side::Source, &mut said).await?;
            looked = tokio::time::Instant::now();
        }
        tokio::time::sleep(OUTLAST_LOOK).await;
    }
    Ok(())
}

/// Waits for a slot's creation, which waits for every open transaction: says which, and gives
/// it up when the operator interrupts.
pub(crate) async fn patiently<T>(
    run: &Run<'_>,
    from: &mut Session,
    side: Side,
    canceller: &Canceller,
    creation: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut creation = std::pin::pin!(creation);
    let mut said = BTreeSet::new();
    loop {
        tokio::select! {
            made = &mut creation => return made,
            () = tokio::time::sleep(SLOT_PATIENCE) => {
                say_who_is_waited_for(run, from, side, &mut said).await?;
            }
            () = run.cancel.cancelled() => {
                // The server gives the slot up; the creation ends with that error.
                let _sent = canceller.cancel().await;
                return Err(Error::Interrupted(run.control.state().phase));
            }
        }
    }
}

/// Each is said once.
async fn say_who_is_waited_for(
    run: &Run<'_>,
    from: &mut Session,
    side: Side,
    said: &mut BTreeSet<String>,
) -> Result<(), Error> {
    for who in waited_for(from, side).await? {
        let warning = format!("the slot waits for {who}");
        if said.insert(warning.clone()) {
            run.observer.notice(Notice::Warning(&warning));
        }
    }
    Ok(())
}

/// The transactions that a slot's creation waits for, in words.
async fn waited_for(from: &mut Session, side: Side) -> Result<Vec<String>, Error> {
    let doing = "looking for open transactions";
    let open = open_transactions(from).await.on(side, doing)?;
    let described = open.into_iter().map(|open| {
        let who = match (open.pid, &open.prepared) {
            (Some(pid), _) => format!("process {pid}"),
            (None, Some(gid)) => format!("prepared transaction {gid}"),
            (None, None) => "a transaction".to_owned(),
        };
        let (user, since) = (
            open.user.unwrap_or_default(),
            open.since.unwrap_or_default(),
        );
        // It may be in any database of the server.
        let place = open.database.map(|name| format!(" in database {name}"));
        let place = place.unwrap_or_default();
        format!("{who} of {user}{place}, open since {since}")
    });
    Ok(described.collect())
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
