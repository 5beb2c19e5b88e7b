//! Whether the side that serves still has the tables that the comparison began with: one that is
//! made meanwhile is in no publication and in no comparison, and its rows would stay behind
//! without a word. So would what an `ALTER TABLE` makes of rows that were compared before.

use std::collections::{BTreeSet, HashMap};

use smol_str::SmolStr;
use trunkline_changes::{Side, TableName};
use trunkline_load::Scope;
use trunkline_postgres::{DataRow, OnSide, PgError, Session};

use super::Ready;
use crate::error::Error;
use crate::follow::Follow;
use crate::phases::verifying;
use crate::run::Run;

/// The tables whose rows move, by name, and what the labels of enumerated types were.
#[derive(Clone, Default, PartialEq, Eq)]
struct Seen {
    tables: HashMap<TableName, Shape>,
    labels: String,
}

#[derive(Clone, PartialEq, Eq)]
struct Shape {
    /// Which table it is. Nothing of an unlogged one, which is copied by its name in the pause.
    oid: Option<u32>,
    /// Kind, persistence and columns.
    text: SmolStr,
}

/// See the module.
#[derive(Default)]
pub(super) struct TablesThen {
    seen: Seen,
    scope: Scope,
    left_out: BTreeSet<TableName>,
}

impl TablesThen {
    /// Reads what stands now, of the side that changes come from.
    pub(super) async fn read(run: &mut Run<'_>, follow: &mut Follow) -> Result<Self, Error> {
        let side = follow.leg().way.from();
        let layout = run.layout().await?;
        let mut then = TablesThen {
            seen: Seen::default(),
            scope: run.scope_on(side, &layout),
            left_out: follow.leg().left_out.clone(),
        };
        then.seen = then.look(follow.from(), side).await?;
        Ok(then)
    }

    /// What has changed since, in words.
    pub(super) async fn changed(
        &self,
        from: &mut Session,
        side: Side,
    ) -> Result<Vec<String>, Error> {
        let (then, now) = (&self.seen, self.look(from, side).await?);
        let mut changed = Vec::new();
        for (name, shape) in &now.tables {
            match then.tables.get(name) {
                None => changed.push(format!("{name} was made or renamed")),
                Some(before) if before != shape => {
                    changed.push(format!("{name} was altered or made anew"));
                }
                Some(_) => {}
            }
        }
        let gone = then.tables.keys();
        let gone = gone.filter(|name| !now.tables.contains_key(*name));
        changed.extend(gone.map(|name| format!("{name} was dropped or renamed")));
        changed.sort();
        if then.labels != now.labels {
            changed.push("labels of an enumerated type were added or renamed".to_owned());
        }
        Ok(changed)
    }

    async fn look(&self, from: &mut Session, side: Side) -> Result<Seen, Error> {
        let doing = "looking whether the tables are the same";
        let mut all = Vec::new();
        let read = |row: DataRow| {
            let above = match row.get::<Option<SmolStr>>(3)? {
                Some(_) => Some(row.table_name(3, 4)?),
                None => None,
            };
            let oid = (!row.get::<bool>(5)?).then(|| row.get(0)).transpose()?;
            let text = row.get(6)?;
            all.push((row.table_name(1, 2)?, above, Shape { oid, text }));
            Ok::<(), PgError>(())
        };
        let sql = include_str!("../../sql/tables_then.sql");
        from.query_each(sql, &[], read).await.on(side, doing)?;
        let labels = "SELECT coalesce(pg_catalog.sum(pg_catalog.hashtextextended(\
                      concat_ws(' ', e.oid, e.enumtypid, e.enumlabel), 0)), 0)::text \
                      FROM pg_catalog.pg_enum e";
        let labels = from.query_one(labels, &[]).await;
        let labels = labels.and_then(|row| row.get(0)).on(side, doing)?;
        let parents: HashMap<TableName, TableName> = all
            .iter()
            .filter_map(|(name, above, _)| Some((name.clone(), above.clone()?)))
            .collect();
        let tables = all.into_iter();
        let tables = tables.filter(|(name, _, _)| self.moves(name, &parents));
        Ok(Seen {
            tables: tables.map(|(name, _, shape)| (name, shape)).collect(),
            labels,
        })
    }

    /// Whether a table's rows move.
    fn moves(&self, name: &TableName, parents: &HashMap<TableName, TableName>) -> bool {
        let above = std::iter::successors(parents.get(name), |above| parents.get(*above));
        let above: Vec<&TableName> = above.collect();
        !self.left_out.contains(name)
            && self.scope.covers_partition(name, &above)
            && self.scope.covers_data(name)
            && above.iter().all(|above| self.scope.covers_data(above))
    }
}

/// Tables may have come during the comparison, too.
pub(super) async fn refuse_others(
    run: &mut Run<'_>,
    follow: &mut Follow,
    ready: &Ready,
) -> Result<(), Error> {
    let side = ready.way.from();
    let changed = ready.then.changed(follow.from(), side).await?;
    if changed.is_empty() {
        return Ok(());
    }
    // Which says more, where a table is on one side only.
    verifying::refuse_gaps(run, follow).await?;
    Err(Error::Refused {
        why: format!(
            "the {side}'s tables have changed since the comparison began: {}",
            changed.join("; ")
        ),
        hint: "nothing was held: run this again, and it begins with what is there now".to_owned(),
    })
}
