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

/// The tables whose rows move, by name, and the labels of enumerated types by their OIDs.
#[derive(Default)]
struct Seen {
    tables: HashMap<TableName, Shape>,
    labels: HashMap<u32, SmolStr>,
}

struct Shape {
    /// Kind, persistence, what it is a partition of, and columns.
    text: SmolStr,
    /// Nothing of an unlogged table, which is copied by its name in the pause.
    storage: Option<Storage>,
}

struct Storage {
    oid: u32,
    file: u32,
    /// Of the columns.
    entries: SmolStr,
}

impl Shape {
    /// Whether nothing was done to the table that the stream does not carry.
    fn is_still(&self, then: &Shape) -> bool {
        let same = match (&self.storage, &then.storage) {
            (Some(now), Some(then)) => {
                let rewritten = now.file != then.file && now.entries != then.entries;
                now.oid == then.oid && !rewritten
            }
            (None, None) => true,
            _ => false,
        };
        self.text == then.text && same
    }
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

    /// What has changed since, as a sentence; `None` where nothing has.
    pub(super) async fn changed(
        &self,
        from: &mut Session,
        side: Side,
    ) -> Result<Option<String>, Error> {
        let (then, now) = (&self.seen, self.look(from, side).await?);
        let mut changed = Vec::new();
        for (name, shape) in &now.tables {
            match then.tables.get(name) {
                None => changed.push(format!("{name} was made or renamed")),
                Some(before) if !shape.is_still(before) => {
                    changed.push(format!("{name} was altered or made anew"));
                }
                Some(_) => {}
            }
        }
        let gone = then.tables.keys();
        let gone = gone.filter(|name| !now.tables.contains_key(*name));
        changed.extend(gone.map(|name| format!("{name} was dropped or renamed")));
        changed.sort();
        // A new one is in no row that was compared.
        let renamed =
            |(oid, label): (&u32, &SmolStr)| now.labels.get(oid).is_some_and(|now| now != label);
        if then.labels.iter().any(renamed) {
            changed.push("a label of an enumerated type was renamed".to_owned());
        }
        Ok((!changed.is_empty()).then(|| {
            format!(
                "the {side}'s tables have changed since the comparison began: {}",
                changed.join("; ")
            )
        }))
    }

    async fn look(&self, from: &mut Session, side: Side) -> Result<Seen, Error> {
        let doing = "looking whether the tables are the same";
        let mut all = Vec::new();
        let read = |row: DataRow| {
            let above = match row.get::<Option<SmolStr>>(3)? {
                Some(_) => Some(row.table_name(3, 4)?),
                None => None,
            };
            let storage = Storage {
                oid: row.get(0)?,
                file: row.get(7)?,
                entries: row.get(8)?,
            };
            let unlogged: bool = row.get(5)?;
            let shape = Shape {
                text: row.get(6)?,
                storage: Some(storage).filter(|_| !unlogged),
            };
            all.push((row.table_name(1, 2)?, above, shape));
            Ok::<(), PgError>(())
        };
        let sql = include_str!("../../sql/tables_then.sql");
        from.query_each(sql, &[], read).await.on(side, doing)?;
        let mut labels = HashMap::new();
        let read = |row: DataRow| {
            labels.insert(row.get(0)?, row.get(1)?);
            Ok::<(), PgError>(())
        };
        let sql = "SELECT oid, enumlabel::text FROM pg_catalog.pg_enum";
        from.query_each(sql, &[], read).await.on(side, doing)?;
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
    let Some(why) = ready.then.changed(follow.from(), side).await? else {
        return Ok(());
    };
    // Which says more, where a table is on one side only.
    verifying::refuse_gaps(run, follow).await?;
    Err(Error::Refused {
        why,
        hint: "nothing was held: run this again, and it begins with what is there now".to_owned(),
    })
}
