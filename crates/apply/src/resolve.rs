//! What becomes of one change that does not fit: another way to do the same, then the
//! policy.

use trunkline_changes::{OldRow, Row};
use trunkline_postgres::SqlState;

use crate::batch::{Action, Entry, RowChange};
use crate::conflict::{Conflict, Operation, Trouble};
use crate::error::ApplyError;
use crate::one_by_one::{RELEASE, SAVEPOINT};
use crate::options::ConflictPolicy;
use crate::park;
use crate::plan::{Statement, one_row, rows_of, truncate, truncate_by_delete};
use crate::route::{Lookup, Route};
use crate::shape::{Shape, Verb};
use crate::stats::ApplyStats;
use crate::table::Written;
use crate::texts::Texts;
use crate::truncate::Truncate;
use crate::writer::{Misfit, Outcome, Writer, conflict_or_fault};

/// Classes of errors that every row of a table would meet (privileges, columns that are not
/// there): no policy goes on past them.
const OF_THE_TABLE: [&str; 2] = ["0A", "42"];

/// What the policy makes of a misfit.
enum Mend {
    /// Do this instead.
    Instead(RowChange),
    /// Accept that nothing is to be done.
    Accept,
    /// Put it aside.
    Park,
    /// End.
    Stop,
}

impl Writer {
    /// Settles one change, which has not happened: as it is, in another way, or by the
    /// policy.
    pub(crate) async fn resolve(
        &mut self,
        entry: &Entry,
        misfit: Option<Misfit>,
        texts: &mut Texts,
        stats: &mut ApplyStats,
    ) -> Result<(), ApplyError> {
        let (route, change) = match &entry.action {
            Action::Truncate(op) => return self.resolve_truncate(entry, op, stats).await,
            Action::Row { route, change } => (route, change),
        };
        let trouble = match misfit {
            Some(misfit) if Shape::of_change(route, change).is_some() => trouble(misfit)?,
            _ => Trouble::Unknown("the stream did not send all that is needed of the row"),
        };
        if matches!(trouble, Trouble::Missing) && self.replace(route, change, texts).await? {
            return Ok(());
        }
        match mend(self.policy, route, change, &trouble) {
            Mend::Accept => stats.mended += 1,
            Mend::Instead(other) => {
                let statement = texts.statement(route, &other);
                if self.attempt(statement).await?.is_none() {
                    stats.mended += 1;
                } else {
                    let conflict = conflict(entry, route, change, trouble);
                    self.park(entry, conflict, stats).await?;
                }
            }
            Mend::Park => {
                let conflict = conflict(entry, route, change, trouble);
                self.park(entry, conflict, stats).await?;
            }
            Mend::Stop => {
                let conflict = conflict(entry, route, change, trouble);
                return Err(ApplyError::Conflict(Box::new(conflict)));
            }
        }
        Ok(())
    }

    /// An update that found nothing may be one that changed a GENERATED ALWAYS identity
    /// column beside the key.
    async fn replace(
        &mut self,
        route: &Route,
        change: &RowChange,
        texts: &mut Texts,
    ) -> Result<bool, ApplyError> {
        let Some(shape) = Shape::of_change(route, change) else {
            return Ok(false);
        };
        let guarded = (0..route.columns.len())
            .any(|source| shape.sent.holds(source) && route.written(source) == Written::ByInsert);
        if shape.verb != Verb::Update || !guarded {
            return Ok(false);
        }
        let text = texts.text(route, shape.replaced());
        let statement = one_row(&text, rows_of(change));
        Ok(self.attempt(Some(statement)).await?.is_none())
    }

    /// Runs a statement that may not fit, and then has not happened; `None` when it fits.
    async fn attempt(
        &mut self,
        statement: Option<Statement<'_>>,
    ) -> Result<Option<Misfit>, ApplyError> {
        let Some(statement) = statement else {
            return Ok(Some(Misfit::Touched(0)));
        };
        match self
            .execute(vec![Statement::plain(SAVEPOINT), statement])
            .await?
        {
            Outcome::Fits => {
                self.batch(RELEASE).await?;
                Ok(None)
            }
            Outcome::Misfit(_, misfit) => {
                self.undo().await?;
                if let Misfit::Refused(error) = misfit {
                    let error = conflict_or_fault(error, "writing a change")?;
                    return Ok(Some(Misfit::Refused(error)));
                }
                Ok(Some(misfit))
            }
        }
    }

    async fn park(
        &mut self,
        entry: &Entry,
        conflict: Conflict,
        stats: &mut ApplyStats,
    ) -> Result<(), ApplyError> {
        tracing::warn!(
            table = %conflict.target,
            operation = %conflict.operation,
            commit_lsn = %conflict.commit_lsn(),
            xid = conflict.transaction.xid,
            "a change was parked"
        );
        let statement = park::statement(&self.migration, entry, &conflict);
        self.must_fit(vec![statement], "parking a change").await?;
        stats.parked += 1;
        Ok(())
    }

    /// TRUNCATE, or DELETE where foreign keys of other tables or missing privileges (on the
    /// table, or on its sequences) forbid it.
    async fn resolve_truncate(
        &mut self,
        entry: &Entry,
        op: &Truncate,
        stats: &mut ApplyStats,
    ) -> Result<(), ApplyError> {
        let mut refused = None;
        // Sequences are set at the cutover: losing RESTART IDENTITY loses nothing.
        let ways = [
            truncate(op, op.restart_identity),
            truncate(op, false),
            truncate_by_delete(op),
        ];
        for statements in ways {
            let all = std::iter::once(Statement::plain(SAVEPOINT)).chain(statements);
            match self.execute(all.collect()).await? {
                Outcome::Fits => return self.batch(RELEASE).await,
                Outcome::Misfit(_, misfit) => {
                    self.undo().await?;
                    refused = Some(trouble(misfit)?);
                }
            }
        }
        let (Some(table), Some(trouble)) = (op.tables.first(), refused) else {
            return Ok(());
        };
        let conflict = Conflict {
            source: table.source.clone(),
            target: table.target.name.clone(),
            operation: Operation::Truncate,
            key: Vec::new(),
            transaction: entry.transaction,
            trouble,
        };
        if self.policy == ConflictPolicy::Stop {
            return Err(ApplyError::Conflict(Box::new(conflict)));
        }
        self.park(entry, conflict, stats).await
    }
}

fn trouble(misfit: Misfit) -> Result<Trouble, ApplyError> {
    Ok(match misfit {
        Misfit::Touched(0) => Trouble::Missing,
        Misfit::Touched(rows) => Trouble::Several(rows),
        Misfit::Refused(error) => Trouble::Refused(conflict_or_fault(error, "writing a change")?),
    })
}

fn conflict(entry: &Entry, route: &Route, change: &RowChange, trouble: Trouble) -> Conflict {
    Conflict {
        source: route.relation.name.clone(),
        target: route.target.name.clone(),
        operation: change.operation(),
        key: route.key_names(),
        transaction: entry.transaction,
        trouble,
    }
}

fn mend(policy: ConflictPolicy, route: &Route, change: &RowChange, trouble: &Trouble) -> Mend {
    if let Trouble::Refused(error) = trouble
        && error
            .sqlstate()
            .is_some_and(|code| OF_THE_TABLE.contains(&code.class()))
    {
        return Mend::Stop;
    }
    match policy {
        ConflictPolicy::Stop => Mend::Stop,
        ConflictPolicy::Park => Mend::Park,
        ConflictPolicy::Upsert => match (change, trouble) {
            (RowChange::Delete(_), Trouble::Missing) => Mend::Accept,
            (RowChange::Update { old, new }, Trouble::Missing) => {
                let whole = whole_row(old.as_ref(), new);
                whole.map_or(Mend::Park, |row| Mend::Instead(RowChange::Insert(row)))
            }
            (RowChange::Insert(new), Trouble::Refused(error))
                if error.sqlstate() == Some(&SqlState::UNIQUE_VIOLATION)
                    && matches!(route.lookup, Lookup::Key(_)) =>
            {
                Mend::Instead(RowChange::Update {
                    old: None,
                    new: new.clone(),
                })
            }
            _ => Mend::Park,
        },
    }
}

/// The new row, if every value of it is known.
fn whole_row(old: Option<&OldRow>, new: &Row) -> Option<Row> {
    let whole = match old {
        Some(OldRow::Full(old)) => new.over(old),
        Some(OldRow::Key(_)) | None => new.clone(),
    };
    (!whole.has_unchanged()).then_some(whole)
}
