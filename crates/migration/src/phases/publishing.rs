//! What is published: the tables in scope by their own names, with the columns and rows that
//! move where the server knows how. An administrator's publication must publish as much.

use std::collections::HashMap;

use trunkline_capture::slot::Plugin;
use trunkline_capture::test_decoding::StreamedTable;
use trunkline_changes::{ReplicaIdentity, Side, TableName, quote_ident};
use trunkline_load::{Layout, Table};
use trunkline_postgres::{OnSide, PgError, Session};

use crate::error::Error;
use crate::journal::{Entry, Object};
use crate::phases::ddl_log;
use crate::phases::publication::{self, Publication};
use crate::phases::verifying::coverage;
use crate::plan::Plan;
use crate::run::{Run, is_streamed};
use crate::way::Way;

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
    if names.left_out().next().is_some() && table.shape.identity != ReplicaIdentity::Full {
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

/// Whether only inserts of this table of the source are published, as the plan says.
fn is_insert_only(plan: &Plan, table: &TableName) -> bool {
    let scope = plan.insert_only.as_ref();
    scope.is_some_and(|scope| scope.covers_table(table))
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
    if plan.decoder(way) == Plugin::TestDecoding
        || (way == Way::There && plan.publication.is_some())
    {
        return Vec::new();
    }
    let insert_only = |table: &Table| {
        let name = match way {
            Way::There => &table.name,
            Way::Back => layout.source_of(&table.name).unwrap_or(&table.name),
        };
        is_insert_only(plan, name)
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

/// The tables whose changes are wanted, for a decoder that knows no publication. It reads the
/// source only, where tables have the names that the plan speaks of.
pub(crate) fn streamed(plan: &Plan, way: Way, tables: &[Table]) -> Option<Vec<StreamedTable>> {
    if plan.decoder(way) == Plugin::Pgoutput {
        return None;
    }
    let tables = tables.iter().filter(|table| is_streamed(table));
    let tables = tables.map(|table| StreamedTable {
        oid: table.oid,
        name: table.name.clone(),
        inserts_only: is_insert_only(plan, &table.name),
    });
    Some(tables.collect())
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
    let mut sql: Vec<String> = made.iter().flat_map(Publication::statements).collect();
    sql.extend(ddl_log::statements(plan, name));
    sql.push(format!(
        "CREATE_REPLICATION_SLOT {} LOGICAL {}",
        quote_ident(name),
        plan.decoder(Way::There).name()
    ));
    sql
}

/// Makes a leg's publications on the side that its changes come from.
pub(crate) async fn publish(
    run: &mut Run<'_>,
    from: &mut Session,
    number: u32,
    what: &Publishing<'_>,
) -> Result<(), Error> {
    let side = what.way.from();
    let base = run.control.identity().object_name(number);
    for publication in publications(run.plan, &base, what) {
        let name = publication.name.clone();
        let object = Object::Publication { side, name };
        run.control.record(Entry::Making(object)).await?;
        publication.make(run, from, side).await?;
    }
    ddl_log::make(run, from, what.way, number).await
}

/// An administrator's publication must be there and name every table: the changes of one
/// that it leaves out would be lost.
pub(super) async fn refuse_incomplete(
    source: &mut Session,
    given: &str,
    layout: &Layout,
    tables: &[Table],
) -> Result<(), Error> {
    let doing = "looking at the publication";
    let hint = "`trunkline sql publication` prints the statement that makes it".to_owned();
    let exists = publication::exists(source, given).await;
    if !exists.on(Side::Source, doing)? {
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
    let tables: HashMap<&TableName, &Table> =
        tables.iter().map(|table| (&table.name, table)).collect();
    for row in &rows {
        let read = || -> Result<(TableName, Vec<String>, bool), PgError> {
            let name = row.table_name(0, 1)?;
            Ok((name, row.get(2)?, row.get(3)?))
        };
        let (name, columns, filtered) = read().on(Side::Source, doing)?;
        let Some(table) = tables.get(&name) else {
            continue;
        };
        let names = layout.columns(&name);
        let shown = |column: &str| columns.iter().any(|shown| shown == column);
        let missing = table
            .stored_columns()
            .find(|column| names.there(&column.name).is_some() && !shown(&column.name));
        let why = match missing {
            _ if filtered => "has a row filter for it".to_owned(),
            Some(column) => format!("leaves out its column {}", column.name),
            None => continue,
        };
        return Err(Error::Refused {
            why: format!(
                "the plan's publication \"{given}\" does not publish all of {name}: it {why}"
            ),
            hint: "`trunkline sql publication` prints the statement that makes it whole".to_owned(),
        });
    }
    Ok(())
}
