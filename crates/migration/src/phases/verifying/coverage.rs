//! Whether the tables of the source are still those that were published and copied. A table
//! made, renamed or dropped since is a gap that no comparison of the others would show.

use std::collections::BTreeSet;

use trunkline_changes::{Side, TableName};
use trunkline_load::{Table, TableMap};
use trunkline_postgres::{OnSide, PgError, Session};

use crate::error::Error;
use crate::run::{Run, is_streamed};

/// Refuses a source whose tables in scope are not all published, copied and placed, or that
/// has lost one.
pub(super) async fn refuse_gaps(
    run: &mut Run<'_>,
    source: &mut Session,
    tables: &[Table],
    places: &TableMap,
) -> Result<(), Error> {
    let published = published(run, source).await?;
    let copied: BTreeSet<TableName> = trunkline_load::read_cover(run.control.session())
        .await?
        .into_keys()
        .collect();
    let gaps = gaps(tables, places, &published, &copied);
    if gaps.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        why: format!("the source's tables have changed: {}", gaps.join("; ")),
        hint: "make the same change on the target and leave new tables out with --exclude, or \
               abort and start again"
            .to_owned(),
    })
}

/// The tables that the migration's publications name.
pub(crate) async fn published(
    run: &Run<'_>,
    source: &mut Session,
) -> Result<BTreeSet<TableName>, Error> {
    let doing = "reading what is published";
    let sql = "SELECT schemaname::text, tablename::text FROM pg_catalog.pg_publication_tables \
               WHERE pubname = ANY ($1::text[])";
    let rows = source
        .query(sql, &[&run.publications()])
        .await
        .on(Side::Source, doing)?;
    let name = |row: &trunkline_postgres::DataRow| -> Result<TableName, PgError> {
        Ok(TableName::new(row.get::<String>(0)?, row.get::<String>(1)?))
    };
    let names = rows.iter().map(name).collect::<Result<_, _>>();
    Ok(names.on(Side::Source, doing)?)
}

fn gaps(
    tables: &[Table],
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
            gaps.push(format!("{} is missing on the target", table.name));
        } else if !published.contains(&table.name) || !copied.contains(&table.name) {
            gaps.push(format!("{} was made after the copy began", table.name));
        }
    }
    for table in copied {
        if !standing.contains(table) {
            gaps.push(format!("{table} was dropped or renamed"));
        }
    }
    gaps
}
