//! A batch done change by change in the source's order: where its folded plan does not fit,
//! and for tables whose triggers or rules fire in the replica role.

use crate::batch::{Action, Entry};
use crate::error::ApplyError;
use crate::limits::{ONE_BY_ONE_BYTES, ONE_BY_ONE_ROWS};
use crate::plan::Statement;
use crate::stats::ApplyStats;
use crate::texts::Texts;
use crate::writer::{Misfit, Outcome, Writer, conflict_or_fault};

pub(crate) const SAVEPOINT: &str = "SAVEPOINT trunkline_change";
pub(crate) const RELEASE: &str = "RELEASE SAVEPOINT trunkline_change";
pub(crate) const ROLLBACK: &str = "ROLLBACK TO SAVEPOINT trunkline_change";

impl Writer {
    /// Does every change by itself; what does not fit goes by the policy.
    pub(crate) async fn one_by_one(&mut self, entries: &[Entry]) -> Result<ApplyStats, ApplyError> {
        let mut stats = ApplyStats {
            one_by_one: 1,
            ..ApplyStats::default()
        };
        let mut texts = Texts::default();
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let run = run_length(rest);
            if run == 0 {
                self.resolve(first, None, &mut texts, &mut stats).await?;
                rest = &rest[1..];
                continue;
            }
            let (fit, misfit) = self.run_what_fits(&rest[..run], &mut texts).await?;
            rest = &rest[fit..];
            if let (Some(entry), Some(misfit)) = (rest.first(), misfit) {
                self.resolve(entry, Some(misfit), &mut texts, &mut stats)
                    .await?;
                rest = &rest[1..];
            }
        }
        Ok(stats)
    }

    /// Does the changes up to the first that does not fit: how many these are, and what the
    /// one after them did. A refusal hides the counts of what ran before it, so the first
    /// misfit may only show when they run again without it.
    async fn run_what_fits(
        &mut self,
        run: &[Entry],
        texts: &mut Texts,
    ) -> Result<(usize, Option<Misfit>), ApplyError> {
        let (mut fit, mut last) = (run.len(), None);
        while let Some((index, misfit)) = self.run_together(&run[..fit], texts).await? {
            (fit, last) = (index, Some(misfit));
        }
        Ok((fit, last))
    }

    /// Runs changes in one round trip; where one does not fit, none of them has happened.
    async fn run_together(
        &mut self,
        run: &[Entry],
        texts: &mut Texts,
    ) -> Result<Option<(usize, Misfit)>, ApplyError> {
        if run.is_empty() {
            return Ok(None);
        }
        let mut statements = vec![Statement::plain(SAVEPOINT)];
        let mut incomplete = None;
        for (index, entry) in run.iter().enumerate() {
            let Action::Row { route, change } = &entry.action else {
                break;
            };
            let Some(statement) = texts.statement(route, change) else {
                incomplete = Some((index, Misfit::Touched(0)));
                break;
            };
            statements.push(statement);
        }
        match self.execute(statements).await? {
            Outcome::Fits if incomplete.is_none() => {
                self.batch(RELEASE).await?;
                Ok(None)
            }
            Outcome::Fits => {
                self.undo().await?;
                Ok(incomplete)
            }
            Outcome::Misfit(index, mut misfit) => {
                if let Misfit::Refused(error) = misfit {
                    misfit = Misfit::Refused(conflict_or_fault(error, "writing a change")?);
                }
                self.undo().await?;
                Ok(Some((index.saturating_sub(1), misfit)))
            }
        }
    }

    pub(crate) async fn undo(&mut self) -> Result<(), ApplyError> {
        self.batch(&format!("{ROLLBACK}; {RELEASE}")).await
    }
}

/// How many changes of rows come next that go in one round trip.
fn run_length(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    entries
        .iter()
        .take(ONE_BY_ONE_ROWS - 1)
        .take_while(|entry| {
            let fits = bytes < ONE_BY_ONE_BYTES;
            bytes += entry.bytes();
            fits && matches!(entry.action, Action::Row { .. })
        })
        .count()
}
