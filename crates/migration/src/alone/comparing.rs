//! Tables compared so that one which cannot be compared does not end the others. All of them
//! go at once; what a failure left without an answer goes again, one by one.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{Canceller, Fault, PgError};
use trunkline_verify::{Comparer, Comparison, Found, TableVerdict, View};

use crate::error::Error;
use crate::limits::CANCEL_WITHIN;
use crate::observer::{Notice, Observer};
use crate::plan::Plan;

/// What is at work for a comparison, and what ends it.
pub(super) struct Work<'a> {
    pub(super) plan: &'a Plan,
    pub(super) observer: &'a dyn Observer,
    running: Mutex<Vec<Canceller>>,
}

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) found: Found,
    /// Tables without a verdict, each with what stood in the way.
    pub(super) failed: Vec<(TableName, Fault)>,
}

impl<'a> Work<'a> {
    pub(super) fn new(plan: &'a Plan, observer: &'a dyn Observer) -> Self {
        Work {
            plan,
            observer,
            running: Mutex::default(),
        }
    }

    /// Takes note of sessions that are at work from now on.
    pub(super) fn runs(&self, sessions: Vec<Canceller>) {
        self.lock().extend(sessions);
    }

    /// Ends what the servers are doing for us: they would compute on for nobody.
    pub(super) async fn end(&self) {
        let running: Vec<Canceller> = self.lock().drain(..).collect();
        let mut ending = tokio::task::JoinSet::new();
        for canceller in running {
            ending.spawn(async move {
                // A session that is over has nothing to end.
                let _over = tokio::time::timeout(CANCEL_WITHIN, canceller.cancel()).await;
            });
        }
        ending.join_all().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Canceller>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pairs of sessions in a fresh state of both sides.
    async fn comparer(&self) -> Result<Comparer, Fault> {
        let end = |side: Side| (side, self.plan.server(side));
        let jobs = self.plan.copy.jobs;
        let mut comparer = Comparer::connect(end(Side::Source), end(Side::Target), jobs).await?;
        self.runs(comparer.cancellers());
        comparer.enter(View::Latest).await?;
        Ok(comparer)
    }

    /// Compares tables as they are now; `each` hears every verdict as it comes.
    pub(super) async fn compare(
        &self,
        list: &[Comparison],
        mut each: impl FnMut(&TableVerdict),
    ) -> Result<Compared, Error> {
        if list.is_empty() {
            return Ok(Compared::default());
        }
        let mut comparer = self.comparer().await?;
        let mut equal: Vec<TableVerdict> = Vec::new();
        let compared = comparer.compare(list.to_vec(), |verdict| {
            each(verdict);
            if verdict.matched() {
                equal.push(verdict.clone());
            }
        });
        match compared.await {
            Ok(found) => {
                comparer.close().await;
                Ok(Compared {
                    found,
                    failed: Vec::new(),
                })
            }
            Err(fault) => {
                tracing::info!(%fault, "comparing what is left one by one");
                self.one_by_one(list, equal, each).await
            }
        }
    }

    /// Compares what has no verdict yet, or differs and lost its rows, in sessions that a
    /// failure of one table does not take from the others.
    async fn one_by_one(
        &self,
        list: &[Comparison],
        equal: Vec<TableVerdict>,
        mut each: impl FnMut(&TableVerdict),
    ) -> Result<Compared, Error> {
        let done: BTreeSet<TableName> = equal.iter().map(|v| v.table.clone()).collect();
        let mut compared = Compared::default();
        compared.found.verdicts = equal;
        let mut comparer = None;
        for comparison in list.iter().filter(|c| !done.contains(&c.target)) {
            let mut pairs = match comparer.take() {
                Some(pairs) => pairs,
                None => self.comparer().await?,
            };
            match pairs.compare(vec![comparison.clone()], &mut each).await {
                Ok(found) => {
                    compared.found.verdicts.extend(found.verdicts);
                    compared.found.rows.extend(found.rows);
                    comparer = Some(pairs);
                }
                Err(fault) if is_of_the_table(&fault.cause) => {
                    let warning = format!("{} cannot be compared: {fault}", comparison.target);
                    self.observer.notice(Notice::Warning(&warning));
                    compared.failed.push((comparison.target.clone(), fault));
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        compared
            .found
            .verdicts
            .sort_by(|a, b| a.table.cmp(&b.table));
        compared.found.rows.sort_by(|a, b| a.table.cmp(&b.table));
        Ok(compared)
    }
}

/// What the server says of one statement; a server that ends sessions (57P), takes none (53300)
/// or is gone will not answer for the next table either.
fn is_of_the_table(error: &PgError) -> bool {
    let state = error.sqlstate().map(trunkline_postgres::SqlState::as_str);
    state.is_some_and(|state| {
        !(state.starts_with("57P") || state.starts_with("08") || state == "53300")
    })
}
