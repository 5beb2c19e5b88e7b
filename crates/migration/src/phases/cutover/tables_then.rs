//! Whether the side that serves still has the tables that the comparison began with: one that is
//! made meanwhile is in no publication and in no comparison, and its rows would stay behind
//! without a word.

use std::collections::{HashMap, HashSet};

use smol_str::SmolStr;
use trunkline_changes::{Side, TableName};
use trunkline_load::Scope;
use trunkline_postgres::{DataRow, OnSide, PgError, Session};

use super::{Ready, pause};
use crate::error::Error;
use crate::follow::Follow;
use crate::phases::verifying;
use crate::run::Run;

/// The tables with rows of their own, or of partitions, and what shape they had.
#[derive(Default)]
pub(super) struct TablesThen(HashMap<u32, Seen>);

#[derive(Clone, PartialEq, Eq)]
struct Seen {
    name: TableName,
    /// Kind, persistence, and how many columns it ever had.
    shape: SmolStr,
}

impl TablesThen {
    pub(super) async fn read(from: &mut Session, side: Side) -> Result<Self, Error> {
        let mut tables = HashMap::new();
        each(from, side, |oid, seen| {
            tables.insert(oid, seen);
        })
        .await?;
        Ok(TablesThen(tables))
    }

    /// What has changed since of the tables in scope, in words.
    pub(super) async fn changed(
        &self,
        from: &mut Session,
        side: Side,
        scope: &Scope,
    ) -> Result<Vec<String>, Error> {
        let mut changed = Vec::new();
        let mut still = HashSet::new();
        each(from, side, |oid, now| {
            still.insert(oid);
            match self.0.get(&oid) {
                Some(then) if *then == now => {}
                Some(then) if scope.covers_table(&then.name) || scope.covers_table(&now.name) => {
                    changed.push(format!("{} was altered or renamed", then.name));
                }
                None if scope.covers_table(&now.name) => {
                    changed.push(format!("{} was made", now.name));
                }
                Some(_) | None => {}
            }
        })
        .await?;
        let gone = self.0.iter().filter(|(oid, _)| !still.contains(oid));
        let names = gone.map(|(_, then)| &then.name);
        let names = names.filter(|name| scope.covers_table(name));
        changed.extend(names.map(|name| format!("{name} was dropped")));
        changed.sort();
        Ok(changed)
    }
}

/// Tables may have come during the comparison, too.
pub(super) async fn refuse_others(
    run: &mut Run<'_>,
    follow: &mut Follow,
    ready: &Ready,
) -> Result<(), Error> {
    let changed = pause::tables_changed(run, follow.from(), ready).await?;
    if changed.is_empty() {
        return Ok(());
    }
    // Which says more, where a table is on one side only.
    verifying::refuse_gaps(run, follow).await?;
    Err(Error::Refused {
        why: format!(
            "the {}'s tables have changed since the comparison began: {}",
            ready.way.from(),
            changed.join("; ")
        ),
        hint: "nothing was held: run this again, and it begins with what is there now".to_owned(),
    })
}

async fn each(
    from: &mut Session,
    side: Side,
    mut seen: impl FnMut(u32, Seen),
) -> Result<(), Error> {
    let doing = "looking whether the tables are the same";
    let sql = include_str!("../../sql/tables_then.sql");
    let read = |row: DataRow| {
        let name = row.table_name(1, 2)?;
        let shape = row.get(3)?;
        seen(row.get(0)?, Seen { name, shape });
        Ok::<(), PgError>(())
    };
    Ok(from.query_each(sql, &[], read).await.on(side, doing)?)
}
