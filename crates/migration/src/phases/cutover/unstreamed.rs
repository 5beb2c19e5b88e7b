//! What the stream does not carry, carried over inside the pause: unlogged tables are copied
//! once more, and large objects are seen to be the same ones as when they were copied.

use trunkline_changes::{TableName, quote_ident};
use trunkline_load::{Table, TableKind, count_large_objects};
use trunkline_postgres::{OnSide, Session, pump};

use super::Missed;
use crate::alone::large_objects;
use crate::error::Error;
use crate::limits::UNLOGGED_AT_ONCE;
use crate::observer::Notice;
use crate::run::{Run, Tables};
use crate::way::Way;

/// An unlogged table: its changes leave no trace in the log.
pub(super) struct Unlogged {
    source: TableName,
    target: TableName,
    /// The columns by the names of either side.
    columns: String,
    target_columns: String,
    /// Which rows, as SQL: ` WHERE …`, or nothing.
    selection: String,
}

/// The unlogged tables of the migration.
pub(super) fn unlogged_tables(standing: &Tables) -> Vec<Unlogged> {
    let unlogged =
        |table: &&Table| table.unlogged && table.data && table.kind == TableKind::Ordinary;
    let copied = |table: &Table| {
        let names = standing.columns(&table.name);
        let columns = table.stored_columns().filter_map(|column| {
            let there = names.there(&column.name)?;
            Some((quote_ident(&column.name), quote_ident(there)))
        });
        let (columns, target_columns): (Vec<String>, Vec<String>) = columns.unzip();
        let selection = standing.moved(&table.name);
        Some(Unlogged {
            source: table.name.clone(),
            target: standing.places.get(&table.name)?.clone(),
            columns: columns.join(", "),
            target_columns: target_columns.join(", "),
            selection: selection.map_or_else(String::new, |moved| format!(" WHERE ({moved})")),
        })
    };
    let tables = standing.moving.iter();
    tables.filter(unlogged).filter_map(copied).collect()
}

/// Copies the unlogged tables again and compares the large objects.
pub(super) async fn carry_over(
    run: &Run<'_>,
    way: Way,
    from: &mut Session,
    to: &mut Session,
    unlogged: &[Unlogged],
) -> Result<(), Missed> {
    if !unlogged.is_empty() {
        copy_again(run, way, from, unlogged).await?;
    }
    match large_objects_differ(way, from, to).await? {
        Some(why) => Err(Missed::Because(why)),
        None => Ok(()),
    }
}

/// How closely large objects are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Closely {
    /// That they are the same ones.
    Counted,
    /// Their contents, too.
    Read,
}

/// Before anyone is held: both sides have the same large objects.
pub(super) async fn same_large_objects(
    run: &Run<'_>,
    way: Way,
    from: &mut Session,
    closely: Closely,
) -> Result<(), Error> {
    let mut to = run.connect(way.to(), "large objects").await?;
    let mut differ = large_objects_differ(way, from, &mut to).await?;
    if differ.is_none() && closely == Closely::Read {
        differ = contents_differ(run, way, from, &mut to).await?;
    }
    to.close().await;
    match differ {
        Some(why) => Err(Error::Refused {
            why,
            hint: format!("copy them to the {} by hand, with their numbers", way.to()),
        }),
        None => Ok(()),
    }
}

/// Compares what the large objects hold; says so where our role may not read them.
async fn contents_differ(
    run: &Run<'_>,
    way: Way,
    from: &mut Session,
    to: &mut Session,
) -> Result<Option<String>, Error> {
    if count_large_objects(from, way.from()).await?.count == 0 {
        return Ok(None);
    }
    run.step("comparing large objects");
    let (source, target) = match way {
        Way::There => (from, to),
        Way::Back => (to, from),
    };
    let compared = large_objects::compare(source, target).await?;
    for unread in &compared.errors {
        let warning = format!(
            "large objects on the {} were not compared: {}",
            unread.side, unread.why
        );
        run.observer.notice(Notice::Warning(&warning));
    }
    let differing = compared.report.differing;
    Ok((differing > 0).then(|| {
        let first = compared.report.differences.first();
        let first = first.map_or(String::new(), |one| format!(", the first one {}", one.oid));
        format!("{differing} large objects hold other contents on the two sides{first}")
    }))
}

async fn large_objects_differ(
    way: Way,
    from: &mut Session,
    to: &mut Session,
) -> Result<Option<String>, Error> {
    let wanted = count_large_objects(from, way.from()).await?;
    let found = count_large_objects(to, way.to()).await?;
    if wanted.count == 0 || wanted == found {
        return Ok(None);
    }
    Ok(Some(format!(
        "large objects were made or removed on the {} since the two sides were equal ({} there, \
         {} on the {}); the stream does not carry them",
        way.from(),
        wanted.count,
        found.count,
        way.to()
    )))
}

/// Not emptied by TRUNCATE, which a foreign key of another unlogged table forbids.
async fn copy_again(
    run: &Run<'_>,
    way: Way,
    from: &mut Session,
    unlogged: &[Unlogged],
) -> Result<(), Error> {
    // A session of its own: given up half-way, it is of no use any more.
    let side = way.to();
    let mut to = run.connect(side, "carry over").await?;
    for some in unlogged.chunks(UNLOGGED_AT_ONCE) {
        let doing = "copying unlogged tables again";
        let begin = "BEGIN; SET LOCAL session_replication_role = replica";
        to.batch(begin).await.on(side, doing)?;
        for table in some {
            let doing = format!("copying {} again", table.target);
            let empty = format!("DELETE FROM ONLY {}", table.target.quoted());
            to.batch(&empty).await.on(side, doing)?;
            let columns = &table.columns;
            let out = format!(
                "COPY (SELECT {columns} FROM ONLY {}{}) TO STDOUT",
                table.source.quoted(),
                table.selection
            );
            let columns = &table.target_columns;
            let into = format!("COPY {} ({columns}) FROM STDIN", table.target.quoted());
            pump(from, &out, &mut to, &into, &|_, _| {}).await?;
        }
        to.batch("COMMIT").await.on(side, doing)?;
    }
    to.close().await;
    Ok(())
}
