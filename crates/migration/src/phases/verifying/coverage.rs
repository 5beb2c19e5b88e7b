//! Whether the tables of the source are still those that were published and copied. A table
//! made, renamed or dropped since is a gap that no comparison of the others would show.

use std::collections::BTreeSet;

use trunkline_capture::test_decoding::StreamedTable;
use trunkline_changes::{Side, TableName};
use trunkline_load::{OWN_SCHEMA, Table, TableMap};
use trunkline_postgres::{OnSide, PgError, Session, ToParam};

use crate::error::Error;
use crate::journal::Leg;
use crate::run::{Run, Tables, is_streamed};
use crate::subscription;
use crate::way::Way;

/// Refuses a side whose tables in scope are not all published, copied and placed, or that
/// has lost one.
pub(super) async fn refuse_gaps(
    run: &mut Run<'_>,
    leg: &Leg,
    from: &mut Session,
    standing: &Tables,
) -> Result<(), Error> {
    let (tables, places, layout) = (&standing.moving, &standing.places, standing.layout());
    let side = leg.way.from();
    let published = match &leg.streamed {
        Some(tables) => still_named(from, side, tables).await?,
        None => published(from, side, &run.publications(leg)).await?,
    };
    let copied: BTreeSet<TableName> = if run.has_ledger(leg) {
        let cover = trunkline_load::read_cover(run.control.session()?).await?;
        let mut copied: BTreeSet<TableName> = cover.into_keys().collect();
        copied.extend(subscription::syncing::names(run).await?);
        copied
    } else {
        let scope = run.scope_on(side, layout);
        let ours = |table: &&TableName| table.schema != OWN_SCHEMA && scope.covers_table(table);
        published.iter().filter(ours).cloned().collect()
    };
    let wanted: Vec<&Table> = tables
        .iter()
        .filter(|table| !leg.left_out.contains(&table.name))
        .collect();
    let gaps = gaps(leg.way, &wanted, places, &published, &copied);
    if gaps.is_empty() {
        return Ok(());
    }
    run.refuse_other_choice().await?;
    let hint = match leg.way {
        Way::There => {
            "make the same change on the target and leave new tables out with --exclude, or \
             abort and start again"
        }
        Way::Back => {
            "make the same change on the source and leave new tables out with --exclude, or stay \
             on the target"
        }
    };
    Err(Error::Refused {
        why: format!("the {side}'s tables have changed: {}", gaps.join("; ")),
        hint: hint.to_owned(),
    })
}

/// Refuses tables of the other side that clients would read as part of what moved, once they
/// hold rows, moved columns that are not there, and partitions of something else.
pub(super) async fn refuse_beside(run: &Run<'_>, way: Way, standing: &Tables) -> Result<(), Error> {
    let (from, to) = (way.from(), way.to());
    let beside = &standing.beside;
    let missing = beside.missing.iter();
    let mut different: Vec<String> = missing
        .map(|(table, column)| format!("{table} (without the column {column} on the {to})"))
        .collect();
    let elsewhere = beside.elsewhere.iter();
    different.extend(
        elsewhere.map(|table| {
            format!("{table} (belongs to another table on the {to} than on the {from})")
        }),
    );
    if !beside.tables.is_empty() {
        let doing = "looking into a table that does not move";
        let mut session = run.connect(to, "catalog").await?;
        for table in &beside.tables {
            let sql = format!("SELECT EXISTS (SELECT FROM ONLY {})", table.quoted());
            let row = session.query_one(&sql, &[]).await.on(to, doing)?;
            if row.get(0).on(to, doing)? {
                different.push(format!(
                    "{table} (holds rows, and the {from} has no such table)"
                ));
            }
        }
        session.close().await;
    }
    if different.is_empty() {
        return Ok(());
    }
    Err(Error::Differences(different))
}

/// The names that the tables of a stream without a publication have now.
async fn still_named(
    session: &mut Session,
    side: Side,
    tables: &[StreamedTable],
) -> Result<BTreeSet<TableName>, Error> {
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let sql = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class AS c \
               JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
               WHERE c.oid = ANY ($1::oid[])";
    names(session, side, sql, &oids).await
}

/// The tables that publications name.
pub(crate) async fn published(
    session: &mut Session,
    side: Side,
    publications: &[String],
) -> Result<BTreeSet<TableName>, Error> {
    let sql = "SELECT schemaname::text, tablename::text FROM pg_catalog.pg_publication_tables \
               WHERE pubname = ANY ($1::text[])";
    names(session, side, sql, &publications).await
}

async fn names(
    session: &mut Session,
    side: Side,
    sql: &str,
    of: &dyn ToParam,
) -> Result<BTreeSet<TableName>, Error> {
    let doing = "reading what is streamed";
    let rows = session.query(sql, &[of]).await.on(side, doing)?;
    let names = rows.iter().map(|row| row.table_name(0, 1));
    let names: Result<_, PgError> = names.collect();
    Ok(names.on(side, doing)?)
}

fn gaps(
    way: Way,
    tables: &[&Table],
    places: &TableMap,
    published: &BTreeSet<TableName>,
    copied: &BTreeSet<TableName>,
) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut standing = BTreeSet::new();
    for table in tables.iter().filter(|table| table.data) {
        standing.insert(&table.name);
        if !is_streamed(table) {
            continue;
        }
        if !places.contains_key(&table.name) {
            gaps.push(format!("{} is missing on the {}", table.name, way.to()));
        } else if !published.contains(&table.name) || !copied.contains(&table.name) {
            let since = match way {
                Way::There => "the copy began",
                Way::Back => "the switch",
            };
            gaps.push(format!("{} was made after {since}", table.name));
        }
    }
    for table in copied {
        if !standing.contains(table) {
            gaps.push(format!("{table} was dropped or renamed"));
        }
    }
    gaps
}
