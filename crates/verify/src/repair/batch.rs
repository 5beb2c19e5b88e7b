//! One transaction on the target that mends some rows. Holds always: it is committed only if
//! each of its statements touched exactly one row.

use trunkline_changes::Side;
use trunkline_postgres::{Fault, OnSide, PgError, Session};

use super::error::RepairError;
use super::item::{Differing, Item};
use super::kept::Kept;
use super::limits::{BATCH_ROWS, PIECE_BYTES};
use super::plan::{Group, Plan};
use super::role::Firing;
use super::rows::Rows;
use super::statement::{Statement, Verb, delete, insert, update};

/// The two sessions, and how the target's transactions begin.
pub(crate) struct Mender<'s> {
    pub(crate) source: &'s mut Session,
    pub(crate) target: &'s mut Session,
    pub(crate) firing: Firing,
}

/// What a group's rows become.
#[derive(Clone, Copy)]
enum Becoming {
    Changed,
    Added,
}

impl Mender<'_> {
    /// Mends the items in one transaction; gives how many had to be left as they are.
    pub(crate) async fn mend(
        &mut self,
        items: &[&Item<'_>],
        differing: Differing,
    ) -> Result<u64, RepairError> {
        let doing = "mending rows";
        let begun = self.target.batch(self.firing.begin()).await;
        begun.on(Side::Target, doing)?;
        let plan = Plan::of(items, differing);
        match self.write(items, &plan, differing).await {
            Ok(()) => {
                self.target.batch("COMMIT").await.on(Side::Target, doing)?;
                Ok(plan.left)
            }
            Err(error) => {
                if !self.target.is_broken() {
                    // The server does the same once the session ends.
                    let _rolled_back = self.target.batch("ROLLBACK").await;
                }
                Err(self.explained(error, items).await)
            }
        }
    }

    /// A statement that did not touch its one row may have been answered by a rule, also in the
    /// replica role.
    async fn explained(&mut self, error: RepairError, items: &[&Item<'_>]) -> RepairError {
        let (RepairError::Gone {
            row,
            side: Side::Target,
        }
        | RepairError::Touched { row, .. }) = &error
        else {
            return error;
        };
        let Some(item) = items.iter().find(|item| item.describe() == *row) else {
            return error;
        };
        let relation = item.target.as_ref().map(|spot| &spot.relation.name);
        let table = relation.unwrap_or(&item.table.target);
        let sql = include_str!("../sql/repair_rules.sql");
        let found = self.target.query(sql, &[&table.schema, &table.name]).await;
        let rules: Vec<String> = found
            .iter()
            .flatten()
            .filter_map(|found| found.get(0).ok())
            .collect();
        if rules.is_empty() {
            return error;
        }
        RepairError::Ruled {
            row: row.clone(),
            table: table.clone(),
            rules,
        }
    }

    async fn write(
        &mut self,
        items: &[&Item<'_>],
        plan: &Plan,
        differing: Differing,
    ) -> Result<(), RepairError> {
        let all = 0..items.len();
        let kept = Kept::read(self.target, items, all, differing).await?;
        let mut piece = Piece::default();
        for &owner in &plan.deletes {
            piece.push(delete(items[owner], owner));
            if piece.is_full() {
                piece.run(self.target, items).await?;
            }
        }
        piece.run(self.target, items).await?;
        for group in &plan.updates {
            let becoming = Becoming::Changed;
            self.write_group(items, group, becoming, &kept).await?;
        }
        for group in &plan.inserts {
            let becoming = Becoming::Added;
            self.write_group(items, group, becoming, &kept).await?;
        }
        Ok(())
    }

    /// Reads a group's rows from the source and writes them as they come.
    async fn write_group(
        &mut self,
        items: &[&Item<'_>],
        group: &Group,
        becoming: Becoming,
        kept: &Kept,
    ) -> Result<(), RepairError> {
        let mut rows = group.read(self.source, items).await?;
        let target = &mut *self.target;
        let written = async {
            let mut piece = Piece::default();
            while let Some((owner, mut values)) = rows.next().await? {
                let item = items[owner];
                let mut columns = group.columns.clone();
                let statement = match becoming {
                    Becoming::Changed => update(item, owner, &columns, values),
                    Becoming::Added => {
                        kept.add(item, owner, &mut columns, &mut values);
                        insert(item, owner, &columns, values)
                    }
                };
                piece.push(statement);
                if piece.is_full() {
                    piece.run(target, items).await?;
                }
            }
            piece.run(target, items).await
        };
        let written = written.await;
        // Also after a refusal: the source's session is to be used again.
        let lacking = rows.finish().await;
        written?;
        all_there(items, &lacking?, Side::Source)
    }
}

impl Group {
    /// Begins to read the group's rows from the source.
    pub(crate) async fn read<'s>(
        &self,
        source: &'s mut Session,
        items: &[&Item<'_>],
    ) -> Result<Rows<'s>, RepairError> {
        let table = items[self.items[0]].table;
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|&column| format!("t.{}", table.ident(column)))
            .collect();
        let places = self.items.iter().map(|&owner| {
            let spot = items[owner].source.as_ref();
            (spot.expect("the source has this row").ctid.clone(), owner)
        });
        let name = &self.relation.name;
        Ok(Rows::open(source, Side::Source, name, &columns, places).await?)
    }
}

/// An error that names the first row that is not there.
pub(crate) fn all_there(
    items: &[&Item<'_>],
    lacking: &[usize],
    side: Side,
) -> Result<(), RepairError> {
    match lacking.first() {
        Some(&owner) => Err(RepairError::Gone {
            row: items[owner].describe(),
            side,
        }),
        None => Ok(()),
    }
}

/// Statements of one round trip.
#[derive(Default)]
struct Piece {
    statements: Vec<Statement>,
    bytes: usize,
}

impl Piece {
    fn push(&mut self, statement: Statement) {
        self.bytes += statement.bytes();
        self.statements.push(statement);
    }

    fn is_full(&self) -> bool {
        self.bytes >= PIECE_BYTES || self.statements.len() >= BATCH_ROWS
    }

    /// Runs them and begins anew.
    async fn run(&mut self, target: &mut Session, items: &[&Item<'_>]) -> Result<(), RepairError> {
        self.bytes = 0;
        let mut done = Vec::with_capacity(self.statements.len());
        let mut pipeline = target.pipeline();
        for statement in self.statements.drain(..) {
            let params: Vec<_> = statement.params.iter().map(Option::as_deref).collect();
            pipeline.add(&statement.sql, &params);
            done.push((statement.owner, statement.verb));
        }
        if done.is_empty() {
            return Ok(());
        }
        let touched = pipeline.run().await.map_err(|failed| {
            let owner = done.get(failed.index).unwrap_or(&done[0]).0;
            let row = items[owner].describe();
            match failed.error {
                cause @ PgError::Server(_) => RepairError::Refused { row, cause },
                cause => RepairError::Fault(Fault {
                    side: Side::Target,
                    doing: format!("mending {row}"),
                    cause,
                }),
            }
        })?;
        let misfit = done.iter().zip(touched).find(|&(_, rows)| rows != 1);
        let Some((&(owner, verb), rows)) = misfit else {
            return Ok(());
        };
        let row = items[owner].describe();
        Err(match verb {
            Verb::AtPlace => RepairError::Gone {
                row,
                side: Side::Target,
            },
            Verb::Insert => RepairError::Touched { row, rows },
        })
    }
}
