//! Checked → Prepared: publications and slot on the source.
//!
//! Needs: a role that owns the tables and has REPLICATION. Does: journals the intent, makes
//! the publications, then the slot (from there on no change is lost). Looks: by name, which
//! is ours alone. Undone: [`undo`], by the receipts in the journal.

use trunkline_capture::slot::{NewSlot, SlotRecord, drop_slot, open_transactions};
use trunkline_changes::{Side, quote_ident};
use trunkline_load::Table;
use trunkline_postgres::{Canceller, OnSide, PgError, Session};

use crate::error::Error;
use crate::journal::{Entry, Object};
use crate::limits::{OUTLAST_LOOK, SLOT_PATIENCE};
use crate::observer::Notice;
use crate::phase::Event;
use crate::phases::verifying::coverage;
use crate::plan::Plan;
use crate::run::{Run, is_streamed};

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
fn publications(plan: &Plan, base: &str, tables: &[Table]) -> Vec<Publication> {
    if plan.publication.is_some() {
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
    let made = publications(plan, name, tables);
    let mut sql: Vec<String> = made.iter().map(Publication::sql).collect();
    sql.push(format!(
        "CREATE_REPLICATION_SLOT {} LOGICAL pgoutput",
        quote_ident(name)
    ));
    sql
}

/// Makes what is missing.
pub(crate) async fn prepare(run: &mut Run<'_>) -> Result<(), Error> {
    let doing = "making the publication";
    let mut source = Session::connect(&run.plan.source, "prepare")
        .await
        .on(Side::Source, doing)?;
    let tables = trunkline_load::tables(&mut source, &run.plan.scope).await?;
    run.step("publication");
    if let Some(given) = &run.plan.publication {
        refuse_incomplete(run, &mut source, given, &tables).await?;
    }
    let name = run.control.identity().object_name();
    for publication in publications(run.plan, &name, &tables) {
        let object = Object::Publication(publication.name.clone());
        run.control.record(Entry::Making(object)).await?;
        if !publication_exists(&mut source, &publication.name)
            .await
            .on(Side::Source, doing)?
        {
            source
                .batch(&publication.sql())
                .await
                .on(Side::Source, doing)?;
        }
    }
    make_slot(run, &mut source).await?;
    source.close().await;
    run.control.moved(Event::SourcePrepared).await
}

/// An administrator's publication must be there and name every table: the changes of one
/// that it leaves out would be lost.
async fn refuse_incomplete(
    run: &Run<'_>,
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
    let published = coverage::published(run, source).await?;
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

async fn make_slot(run: &mut Run<'_>, source: &mut Session) -> Result<(), Error> {
    let name = run.control.identity().object_name();
    run.control
        .record(Entry::Making(Object::Slot(name.clone())))
        .await?;
    // A slot without its record was made by a run that died in between: nothing was copied
    // yet, so a new one loses nothing.
    let database = run.plan.source.database().to_owned();
    drop_slot(source, Side::Source, &record_to_drop(&name, &database)).await?;
    run.step("replication slot");
    let slot = NewSlot::prepare(&run.plan.source, Side::Source).await?;
    let canceller = slot.canceller();
    let creation = async { Ok(slot.create(&name).await?) };
    let record = patiently(run, source, &canceller, creation).await?;
    outlast_commits_under_way(run, source).await?;
    run.control.record(Entry::SlotMade(record)).await
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
    let mut said = tokio::time::Instant::now();
    while read(source, oldest).await? < now {
        run.stop_if_cancelled()?;
        if said.elapsed() >= SLOT_PATIENCE {
            say_who_is_waited_for(run, source).await?;
            said = tokio::time::Instant::now();
        }
        tokio::time::sleep(OUTLAST_LOOK).await;
    }
    Ok(())
}

/// Waits for a slot's creation, which waits for every open transaction: says which, and gives
/// it up when the operator interrupts.
pub(crate) async fn patiently<T>(
    run: &Run<'_>,
    source: &mut Session,
    canceller: &Canceller,
    creation: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut creation = std::pin::pin!(creation);
    loop {
        tokio::select! {
            made = &mut creation => return made,
            () = tokio::time::sleep(SLOT_PATIENCE) => say_who_is_waited_for(run, source).await?,
            () = run.cancel.cancelled() => {
                // The server gives the slot up; the creation ends with that error.
                let _sent = canceller.cancel().await;
                return Err(Error::Interrupted(run.control.state().phase));
            }
        }
    }
}

async fn say_who_is_waited_for(run: &Run<'_>, source: &mut Session) -> Result<(), Error> {
    let doing = "looking for open transactions";
    for open in open_transactions(source).await.on(Side::Source, doing)? {
        let who = match (open.pid, &open.prepared) {
            (Some(pid), _) => format!("process {pid}"),
            (None, Some(gid)) => format!("prepared transaction {gid}"),
            (None, None) => "a transaction".to_owned(),
        };
        let (user, since) = (
            open.user.unwrap_or_default(),
            open.since.unwrap_or_default(),
        );
        let warning = format!("the slot waits for {who} of {user}, open since {since}");
        run.observer.notice(Notice::Warning(&warning));
    }
    Ok(())
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

/// Removes what this phase made, by its receipts.
pub(crate) async fn undo(run: &mut Run<'_>, source: &mut Session) -> Result<Vec<String>, Error> {
    let mut removed = Vec::new();
    let receipts: Vec<Object> = run.control.state().receipts.iter().rev().cloned().collect();
    let database = run.plan.source.database().to_owned();
    for object in receipts {
        match &object {
            Object::Slot(name) => {
                drop_slot(source, Side::Source, &record_to_drop(name, &database)).await?;
                removed.push(format!("dropped the slot {name} on the source"));
            }
            Object::Publication(name) => {
                let sql = format!("DROP PUBLICATION IF EXISTS {}", quote_ident(name));
                source
                    .batch(&sql)
                    .await
                    .on(Side::Source, "dropping the publication")?;
                removed.push(format!("dropped the publication {name} on the source"));
            }
            Object::Structure => continue,
        }
        run.control.record(Entry::Removed(object)).await?;
    }
    Ok(removed)
}
