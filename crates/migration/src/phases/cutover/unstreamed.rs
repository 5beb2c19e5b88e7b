//! What the stream does not carry, carried over inside the pause: unlogged tables are copied
//! once more, and large objects are seen to be the same ones as when they were copied.

use trunkline_changes::{TableName, quote_ident};
use trunkline_load::{Table, TableKind, TableMap, count_large_objects};
use trunkline_postgres::{OnSide, Session, pump};

use super::Missed;
use crate::error::Error;
use crate::run::Run;
use crate::way::Way;

/// An unlogged table: its changes leave no trace in the log.
pub(super) struct Unlogged {
    source: TableName,
    target: TableName,
    columns: String,
}

/// The unlogged tables of the migration.
pub(super) fn unlogged_tables(tables: &[Table], places: &TableMap) -> Vec<Unlogged> {
    let unlogged =
        |table: &&Table| table.unlogged && table.data && table.kind == TableKind::Ordinary;
    let copied = |table: &Table| {
        let columns: Vec<String> = table
            .stored_columns()
            .map(|column| quote_ident(&column.name))
            .collect();
        Some(Unlogged {
            source: table.name.clone(),
            target: places.get(&table.name)?.clone(),
            columns: columns.join(", "),
        })
    };
    tables.iter().filter(unlogged).filter_map(copied).collect()
}

/// Copies the unlogged tables again and compares the large objects.
pub(super) async fn carry_over(
    run: &Run<'_>,
    way: Way,
    from: &mut Session,
    to: &mut Session,
    unlogged: &[Unlogged],
) -> Result<(), Missed> {
    for table in unlogged {
        copy_again(run, way, from, table).await?;
    }
    let wanted = count_large_objects(from, way.from())
        .await
        .map_err(Error::from)?;
    let found = count_large_objects(to, way.to())
        .await
        .map_err(Error::from)?;
    if wanted.count == 0 || wanted == found {
        return Ok(());
    }
    Err(Missed::Because(format!(
        "large objects were made or removed on the {} since the two sides were equal ({} there, \
         {} on the {}); the stream does not carry them",
        way.from(),
        wanted.count,
        found.count,
        way.to()
    )))
}

async fn copy_again(
    run: &Run<'_>,
    way: Way,
    from: &mut Session,
    table: &Unlogged,
) -> Result<(), Error> {
    let doing = format!("copying {} again", table.target);
    // A session of its own: given up half-way, it is of no use any more.
    let side = way.to();
    let mut to = run.connect(side, "carry over").await?;
    let begin = format!(
        "BEGIN; SET LOCAL session_replication_role = replica; TRUNCATE ONLY {}",
        table.target.quoted()
    );
    to.batch(&begin).await.on(side, doing.as_str())?;
    let columns = &table.columns;
    let out = format!(
        "COPY (SELECT {columns} FROM ONLY {}) TO STDOUT",
        table.source.quoted()
    );
    let into = format!("COPY {} ({columns}) FROM STDIN", table.target.quoted());
    pump(from, &out, &mut to, &into, &|_, _| {}).await?;
    to.batch("COMMIT").await.on(side, doing)?;
    to.close().await;
    Ok(())
}
