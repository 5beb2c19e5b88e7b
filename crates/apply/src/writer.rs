//! Runs batches on the target. A batch is written inside a savepoint by its folded plan;
//! when that does not fit, it is rolled back to the savepoint and done one by one. Holds
//! always: nothing is committed whose counts were not looked at.

use std::borrow::Cow;

use trunkline_changes::{Lsn, Side};
use trunkline_postgres::{Fault, PgError, Remedy, Session, ToParam, remedy};

use crate::batch::Entry;
use crate::error::ApplyError;
use crate::limits::{ONE_BY_ONE_BYTES, ONE_BY_ONE_ROWS};
use crate::options::{ConflictPolicy, Durability};
use crate::plan::{Body, Statement, row_params};
use crate::progress::{ADVANCE_SQL, HOLD_SQL, Position, STILL_OURS_SQL};
use crate::stats::ApplyStats;

/// The target's session and the state of its transaction.
pub(crate) struct Writer {
    pub(crate) session: Session,
    pub(crate) migration: String,
    pub(crate) policy: ConflictPolicy,
    /// Where the progress row stands.
    at: Lsn,
    /// Whether a transaction is open that holds a part of a source transaction.
    open: bool,
}

/// A batch, prepared.
pub(crate) struct Work<'a> {
    pub(crate) entries: &'a [Entry],
    /// Its statements in sets; `None` where its changes do not follow from each other, and are
    /// done one by one, which shows where.
    pub(crate) planned: Option<Vec<Statement<'a>>>,
}

/// How a run of statements went.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Every statement touched what it had to.
    Fits,
    /// The statement at this index did not; what came after it may have run too.
    Misfit(usize, Misfit),
}

/// What a statement did instead.
#[derive(Debug)]
pub(crate) enum Misfit {
    /// It touched this many rows.
    Touched(u64),
    /// The server refused it; the transaction has failed.
    Refused(PgError),
}

const BATCH_SAVEPOINT: &str = "SAVEPOINT trunkline_batch";

impl Writer {
    pub(crate) fn new(
        session: Session,
        migration: String,
        policy: ConflictPolicy,
        at: Lsn,
    ) -> Self {
        Writer {
            session,
            migration,
            policy,
            at,
            open: false,
        }
    }

    /// Writes a part of a source transaction and leaves the target's transaction open.
    pub(crate) async fn write_part(&mut self, work: Work<'_>) -> Result<ApplyStats, ApplyError> {
        let mut prologue = self.prologue();
        if !self.open {
            prologue.push(hold(&self.migration, self.at));
        }
        self.open = true;
        self.run(prologue, work, None).await
    }

    /// Writes the rest and commits it with its position.
    pub(crate) async fn commit(
        &mut self,
        work: Work<'_>,
        to: Position,
        durability: Durability,
    ) -> Result<ApplyStats, ApplyError> {
        let mut prologue = self.prologue();
        if durability == Durability::Durable {
            prologue.push(Statement::plain("SET LOCAL synchronous_commit TO on"));
        }
        prologue.push(advance(&self.migration, self.at, to));
        let stats = self.run(prologue, work, Some(to)).await?;
        self.open = false;
        match self.session.batch("COMMIT").await {
            Ok(_) => {
                self.at = to.end_lsn;
                Ok(stats)
            }
            Err(cause) if self.commit_is_unknown(&cause) => Err(ApplyError::CommitUnknown {
                before: self.at,
                after: to.end_lsn,
                cause: Box::new(fault(cause, "committing a batch")),
            }),
            Err(cause) => Err(fault(cause, "committing a batch").into()),
        }
    }

    fn commit_is_unknown(&self, cause: &PgError) -> bool {
        self.session.is_broken()
            || !matches!(cause, PgError::Server(_))
            || remedy(cause) == Remedy::Reconnect
            || cause
                .sqlstate()
                .is_some_and(|code| code.class() == "08" || code.as_str() == "40003")
    }

    fn prologue(&self) -> Vec<Statement<'static>> {
        if self.open {
            // Of the part before; left standing, savepoints would nest without end.
            vec![Statement::plain("RELEASE SAVEPOINT trunkline_batch")]
        } else {
            vec![
                Statement::plain("BEGIN"),
                Statement::plain("SET CONSTRAINTS ALL DEFERRED"),
            ]
        }
    }

    async fn run(
        &mut self,
        prologue: Vec<Statement<'static>>,
        work: Work<'_>,
        to: Option<Position>,
    ) -> Result<ApplyStats, ApplyError> {
        let Work { entries, planned } = work;
        let mut statements: Vec<Statement<'_>> = prologue;
        statements.push(Statement::plain(BATCH_SAVEPOINT));
        let ours = statements.len();
        let Some(planned) = planned else {
            if let Outcome::Misfit(_, misfit) = self.execute(statements).await? {
                return Err(self.prologue_failed(misfit));
            }
            return self.one_by_one(entries).await;
        };
        statements.extend(planned);
        let outcome = self.execute(statements).await?;
        match outcome {
            Outcome::Fits => Ok(ApplyStats::default()),
            Outcome::Misfit(index, misfit) if index < ours => Err(self.prologue_failed(misfit)),
            Outcome::Misfit(_, misfit) => {
                self.fall_back(misfit, to).await?;
                self.one_by_one(entries).await
            }
        }
    }

    /// Back to the savepoint, if doing it one by one can help at all.
    async fn fall_back(&mut self, misfit: Misfit, to: Option<Position>) -> Result<(), ApplyError> {
        if let Misfit::Refused(error) = misfit {
            let error = conflict_or_fault(error, "writing a batch")?;
            tracing::debug!(sqlstate = ?error.sqlstate(), "a batch did not fit as a whole");
        }
        self.batch("ROLLBACK TO SAVEPOINT trunkline_batch").await?;
        // The refusal hid whether the progress was ours to move: look again. Somebody else may
        // have moved it to the same place.
        let moved = to.map(|to| of_the_row(STILL_OURS_SQL, &[&self.migration, &to.end_lsn]));
        match self.execute(moved.into_iter().collect()).await? {
            Outcome::Fits => Ok(()),
            Outcome::Misfit(_, misfit) => Err(self.prologue_failed(misfit)),
        }
    }

    fn prologue_failed(&self, misfit: Misfit) -> ApplyError {
        match misfit {
            Misfit::Refused(error) => fault(error, "beginning a batch").into(),
            Misfit::Touched(_) => ApplyError::ProgressMoved {
                migration: self.migration.clone(),
                expected: self.at,
            },
        }
    }

    /// Runs statements in order, in as many round trips as their size asks for, up to the
    /// first that does not fit.
    pub(crate) async fn execute(
        &mut self,
        statements: Vec<Statement<'_>>,
    ) -> Result<Outcome, ApplyError> {
        let mut statements = statements.into_iter().peekable();
        let mut done = 0;
        while statements.peek().is_some() {
            let mut pipeline = self.session.pipeline();
            let mut expected = Vec::new();
            while expected.len() < ONE_BY_ONE_ROWS && pipeline.queued_bytes() < ONE_BY_ONE_BYTES {
                let Some(statement) = statements.next() else {
                    break;
                };
                match &statement.body {
                    Body::Params(params) => {
                        pipeline.add_each(&statement.sql, params.iter().map(Option::as_deref));
                    }
                    Body::Row(slots, row) => {
                        pipeline.add_each(&statement.sql, row_params(slots, *row));
                    }
                    Body::Copy(data) => pipeline.add_copy(&statement.sql, data),
                }
                expected.push(statement.expect);
            }
            let touched = match pipeline.run().await {
                Ok(touched) => touched,
                Err(failed) if self.session.is_broken() => {
                    return Err(fault(failed.error, "writing changes").into());
                }
                Err(failed) => {
                    return Ok(Outcome::Misfit(
                        done + failed.index,
                        Misfit::Refused(failed.error),
                    ));
                }
            };
            let misfit = expected
                .iter()
                .zip(&touched)
                .position(|(expect, touched)| expect.is_some_and(|expect| expect != *touched));
            if let Some(index) = misfit {
                return Ok(Outcome::Misfit(
                    done + index,
                    Misfit::Touched(touched[index]),
                ));
            }
            done += expected.len();
        }
        Ok(Outcome::Fits)
    }

    /// Runs statements that fit, or the target has failed.
    pub(crate) async fn must_fit(
        &mut self,
        statements: Vec<Statement<'_>>,
        doing: &str,
    ) -> Result<(), ApplyError> {
        match self.execute(statements).await? {
            Outcome::Fits => Ok(()),
            Outcome::Misfit(_, Misfit::Refused(error)) => Err(fault(error, doing).into()),
            Outcome::Misfit(_, Misfit::Touched(rows)) => {
                let error = PgError::Protocol(format!("a statement touched {rows} rows, not one"));
                Err(fault(error, doing).into())
            }
        }
    }

    /// Takes back what is not committed, as far as the connection still allows.
    pub(crate) async fn abandon(&mut self) {
        if !self.session.is_broken() {
            // The server does the same once the session ends.
            let _rolled_back = self.session.batch("ROLLBACK").await;
        }
    }

    pub(crate) async fn batch(&mut self, sql: &str) -> Result<(), ApplyError> {
        match self.session.batch(sql).await {
            Ok(_) => Ok(()),
            Err(cause) => Err(fault(cause, "writing a batch").into()),
        }
    }
}

/// Holds the progress row from the first part of a transaction on: whoever opens another
/// session waits there until the server is done with this one.
fn hold(migration: &str, at: Lsn) -> Statement<'static> {
    of_the_row(HOLD_SQL, &[&migration, &at])
}

fn advance(migration: &str, from: Lsn, to: Position) -> Statement<'static> {
    let params: [&dyn ToParam; 5] = [
        &migration,
        &from,
        &to.end_lsn,
        &to.commit_lsn,
        &to.committed_at_micros,
    ];
    of_the_row(ADVANCE_SQL, &params)
}

/// A statement of the progress row.
fn of_the_row(sql: &str, params: &[&dyn ToParam]) -> Statement<'static> {
    let owned = params.iter().map(|param| {
        let text = param.to_param()?;
        Some(Cow::Owned(text.into_owned()))
    });
    Statement {
        sql: sql.into(),
        body: Body::Params(owned.collect()),
        expect: Some(1),
    }
}

pub(crate) fn fault(cause: PgError, doing: &str) -> Fault {
    Fault {
        side: Side::Target,
        doing: doing.to_owned(),
        cause,
    }
}

/// Gives the error back when it speaks of the row (a constraint, a value, a trigger), and a
/// fault when it speaks of the server.
pub(crate) fn conflict_or_fault(error: PgError, doing: &str) -> Result<PgError, Fault> {
    // 0A is a TRUNCATE that foreign keys forbid, or a partition that cannot take the row.
    const OF_THE_ROW: [&str; 8] = ["0A", "21", "22", "23", "27", "42", "44", "P0"];
    match error.sqlstate() {
        Some(code) if OF_THE_ROW.contains(&code.class()) => Ok(error),
        _ => Err(fault(error, doing)),
    }
}
