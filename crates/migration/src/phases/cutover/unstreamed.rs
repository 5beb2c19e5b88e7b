//! What the stream does not carry, carried over inside the pause: unlogged tables are copied
//! once more, and large objects are seen to be the same ones as when they were copied.

use trunkline_changes::{Side, TableName, quote_ident};
use trunkline_load::{Table, TableKind, TableMap, count_large_objects};
use trunkline_postgres::{OnSide, Session, pump};

use super::Missed;
use crate::error::Error;
use crate::run::Run;

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
    run: &mut Run<'_>,
    source: &mut Session,
    unlogged: &[Unlogged],
) -> Result<(), Missed> {
    for table in unlogged {
        copy_again(run, source, table).await?;
    }
    let wanted = count_large_objects(source, Side::Source)
        .await
        .map_err(Error::from)?;
    let found = count_large_objects(run.control.session(), Side::Target)
        .await
        .map_err(Error::from)?;
    if wanted.count == 0 || wanted == found {
        return Ok(());
    }
    Err(Missed::Because(format!(
        "large objects were made or removed on the source since the copy ({} there, {} on the \
         target); the stream does not carry them",
        wanted.count, found.count
    )))
}

async fn copy_again(run: &Run<'_>, source: &mut Session, table: &Unlogged) -> Result<(), Error> {
    let doing = format!("copying {} again", table.target);
    // A session of its own: given up half-way, it is of no use any more.
    let target = Session::connect(&run.plan.target, "carry over").await;
    let mut target = target.on(Side::Target, doing.as_str())?;
    let begin = format!(
        "BEGIN; SET LOCAL session_replication_role = replica; TRUNCATE ONLY {}",
        table.target.quoted()
    );
    target
        .batch(&begin)
        .await
        .on(Side::Target, doing.as_str())?;
    let columns = &table.columns;
    let out = format!(
        "COPY (SELECT {columns} FROM ONLY {}) TO STDOUT",
        table.source.quoted()
    );
    let into = format!("COPY {} ({columns}) FROM STDIN", table.target.quoted());
    pump(source, &out, &mut target, &into, &|_, _| {}).await?;
    target.batch("COMMIT").await.on(Side::Target, doing)?;
    target.close().await;
    Ok(())
}
