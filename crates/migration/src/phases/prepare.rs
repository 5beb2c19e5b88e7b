//! Checked → Prepared: publications and slot on the source. The same things are made on the
//! side that is to serve before each switch: see [`super::way_back`].
//!
//! Needs: a role that owns the tables and has REPLICATION. Does: journals the intent, makes
//! the publications, then the slot (from there on no change is lost). Looks: by name, which
//! is ours alone. Undone: [`undo`], by the receipts in the journal.

use std::collections::BTreeSet;
use std::time::Duration;

use trunkline_capture::slot::{NewSlot, SlotRecord, drop_slot, open_transactions};
use trunkline_changes::{ReplicaIdentity, Side, TableName, quote_ident};
use trunkline_load::{Layout, Naming, Table};
use trunkline_postgres::{Canceller, OnSide, PgError, Session};

use crate::error::Error;
use crate::journal::{Entry, Leg, Object};
use crate::limits::{CANCEL_WITHIN, OUTLAST_LOOK, SLOT_PATIENCE};
use crate::observer::Notice;
use crate::phase::Event;
use crate::phases::renaming;
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

/// From this version on a publication knows columns and rows.
pub(crate) const FILTERS_FROM: u32 = 15;

/// What a publication says of a table: columns that stay behind do not leave the source, and
/// rows that do not move neither, where the server knows how.
fn published(table: &Table, major: u32, layout: &Layout) -> String {
    let mut sql = table.name.quoted();
    if major < FILTERS_FROM {
        return sql;
    }
    let names = layout.columns(&table.name);
    // With the whole row as identity, a list of some columns would forbid every update.
    if names.left_out().next().is_some() && table.identity != ReplicaIdentity::Full {
        let kept = table.stored_columns().map(|column| &column.name);
        let kept = kept.filter(|column| names.there(column).is_some());
        let kept: Vec<String> = kept.map(|column| quote_ident(column)).collect();
        sql = format!("{sql} ({})", kept.join(", "));
    }
    if let Some(condition) = layout.condition(&table.name) {
        sql = format!("{sql} WHERE ({condition})");
    }
    sql
}

/// What is published, of which server.
pub(crate) struct Publishing<'a> {
    pub(crate) way: Way,
    pub(crate) tables: &'a [Table],
    pub(crate) layout: &'a Layout,
    /// The server's version.
    pub(crate) major: u32,
}

/// The publications for the tables in scope: leaves by their own names, tables without a
/// replica identity in a publication of their own that promises inserts only.
fn publications(plan: &Plan, base: &str, what: &Publishing<'_>) -> Vec<Publication> {
    let Publishing {
        way,
        tables,
        layout,
        major,
    } = *what;
    if way == Way::There && plan.publication.is_some() {
        return Vec::new();
    }
    let insert_only = |table: &Table| {
        let scope = plan.insert_only.as_ref();
        let name = match way {
            Way::There => &table.name,
            Way::Back => layout.source_of(&table.name).unwrap_or(&table.name),
        };
        scope.is_some_and(|scope| scope.covers_table(name))
    };
    let shown = |table: &Table| match way {
        Way::There => published(table, major, layout),
        Way::Back => table.name.quoted(),
    };
    let names = |wanted: bool| -> Vec<String> {
        let streamed = tables.iter().filter(|table| is_streamed(table));
        let chosen = streamed.filter(|table| insert_only(table) == wanted);
        chosen.map(shown).collect()
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
pub(crate) fn statements(
    plan: &Plan,
    name: &str,
    layout: &Layout,
    (tables, major): (&[Table], u32),
) -> Vec<String> {
    let what = Publishing {
        way: Way::There,
        tables,
        layout,
        major,
    };
    let made = publications(plan, name, &what);
    let mut sql: Vec<String> = made.iter().map(Publication::sql).collect();
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
    run.plan.transform.examine(&mut source, &tables).await?;
    renaming::note_rules(run).await?;
    run.step("publication");
    let layout = Layout::new(&run.plan.transform, &tables, Naming::Final);
    if let Some(given) = &run.plan.publication {
        refuse_incomplete(&mut source, given, &layout, &tables).await?;
    }
    let what = Publishing {
        way: Way::There,
        tables: &tables,
        layout: &layout,
        major: source.version().major(),
    };
    publish(run, &mut source, FIRST, &what).await?;
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

/// Makes a leg's publications on the side that its changes come from.
pub(crate) async fn publish(
    run: &mut Run<'_>,
    from: &mut Session,
    number: u32,
    what: &Publishing<'_>,
) -> Result<(), Error> {
    let (side, doing) = (what.way.from(), "making the publication");
    let base = run.control.identity().object_name(number);
    for publication in publications(run.plan, &base, what) {
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
    Ok(())
}

/// An administrator's publication must be there and name every table: the changes of one
/// that it leaves out would be lost.
async fn refuse_incomplete(
    source: &mut Session,
    given: &str,
    layout: &Layout,
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
        return refuse_narrower(source, given, layout, tables).await;
    }
    Err(Error::Refused {
        why: format!(
            "the plan's publication \"{given}\" leaves out {}",
            missing.join(", ")
        ),
        hint,
    })
}

/// Nor may it leave out rows, or columns that the plan moves: they would be missed in silence.
async fn refuse_narrower(
    source: &mut Session,
    given: &str,
    layout: &Layout,
    tables: &[Table],
) -> Result<(), Error> {
    if source.version().major() < FILTERS_FROM {
        return Ok(());
    }
    let doing = "looking at the publication's rows and columns";
    let sql = "SELECT schemaname::text, tablename::text, attnames::text[], rowfilter IS NOT NULL \
               FROM pg_catalog.pg_publication_tables WHERE pubname = $1";
    let rows = source.query(sql, &[&given]).await.on(Side::Source, doing)?;
    for row in &rows {
        let read = || -> Result<(TableName, Vec<String>, bool), PgError> {
            let name = TableName::new(row.get::<String>(0)?, row.get::<String>(1)?);
            Ok((name, row.get(2)?, row.get(3)?))
        };
        let (name, columns, filtered) = read().on(Side::Source, doing)?;
        let Some(table) = tables.iter().find(|table| table.name == name) else {
            continue;
        };
        let names = layout.columns(&name);
        let missing = table.stored_columns().find(|column| {
            names.there(&column.name).is_some() && !columns.contains(&column.name)
        });
        let why = match missing {
            _ if filtered => "has a row filter for it".to_owned(),
            Some(column) => format!("leaves out its column {}", column.name),
            None => continue,
        };
        return Err(Error::Refused {
            why: format!("the plan's publication \"{given}\" does not publish all of {name}: it {why}"),
            hint: "`trunkline sql publication` prints the statement that makes it whole".to_owned(),
        });
    }
    Ok(())
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
        Object::Structure | Object::SourceRecords => Ok(None),
    }
}
