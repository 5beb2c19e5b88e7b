//! Checked → Prepared: publications and slot on the source. The same things are made on the
//! side that is to serve before each switch: see [`super::way_back`].
//!
//! Needs: a role that owns the tables and has REPLICATION. Does: journals the intent, makes
//! the publications, then the slot (from there on no change is lost). Looks: by name, which
//! is ours alone. Undone: [`undo`], by the receipts in the journal.

mod slots;
mod taking_back;

use std::collections::BTreeSet;

use trunkline_capture::slot::Plugin;
use trunkline_capture::test_decoding::StreamedTable;
use trunkline_changes::{Side, quote_ident};
use trunkline_load::Table;
use trunkline_postgres::{OnSide, PgError, Session};

use crate::error::Error;
use crate::journal::{Entry, Leg, Object};
use crate::phase::Event;
use crate::phases::verifying::coverage;
use crate::plan::Plan;
use crate::run::{Run, is_streamed};
use crate::way::Way;
use slots::outlast_commits_under_way;
pub(crate) use slots::{Bound, make_slot, patiently};
pub(crate) use taking_back::undo;

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
    if plan.decoder(way) == Plugin::TestDecoding
        || (way == Way::There && plan.publication.is_some())
    {
        return Vec::new();
    }
    let names = |wanted: bool| -> Vec<String> {
        let streamed = tables.iter().filter(|table| is_streamed(table));
        let chosen = streamed.filter(|table| insert_only(plan, table) == wanted);
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

fn insert_only(plan: &Plan, table: &Table) -> bool {
    let scope = plan.insert_only.as_ref();
    scope.is_some_and(|scope| scope.covers_table(&table.name))
}

/// The tables whose changes are wanted, for a decoder that knows no publication.
pub(crate) fn streamed(plan: &Plan, way: Way, tables: &[Table]) -> Option<Vec<StreamedTable>> {
    if plan.decoder(way) == Plugin::Pgoutput {
        return None;
    }
    let tables = tables.iter().filter(|table| is_streamed(table));
    let tables = tables.map(|table| StreamedTable {
        oid: table.oid,
        name: table.name.clone(),
        inserts_only: insert_only(plan, table),
    });
    Some(tables.collect())
}

/// The statements that this phase runs on the source, for `plan`.
pub(crate) fn statements(plan: &Plan, name: &str, tables: &[Table]) -> Vec<String> {
    let made = publications(plan, Way::There, name, tables);
    let mut sql: Vec<String> = made.iter().map(Publication::sql).collect();
    sql.push(format!(
        "CREATE_REPLICATION_SLOT {} LOGICAL {}",
        quote_ident(name),
        plan.decoder(Way::There).name()
    ));
    sql
}

/// Makes what is missing.
pub(crate) async fn prepare(run: &mut Run<'_>) -> Result<(), Error> {
    const FIRST: u32 = 1;
    let mut source = run.connect(Side::Source, "prepare").await?;
    let tables = trunkline_load::tables(&mut source, &run.plan.scope).await?;
    if run.plan.decoder(Way::There) == Plugin::Pgoutput {
        run.step("publication");
    }
    if let Some(given) = &run.plan.publication {
        refuse_incomplete(&mut source, given, &tables).await?;
    }
    publish(run, &mut source, Way::There, FIRST, &tables).await?;
    let slot = make_slot(run, &mut source, Way::There, FIRST, Bound::None).await?;
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
        streamed: streamed(run.plan, Way::There, &tables),
    };
    run.control.record(Entry::LegPrepared(leg)).await?;
    source.close().await;
    run.control.moved(Event::SourcePrepared).await
}

/// Makes a leg's publications on the side that its changes come from.
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
    Ok(())
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
