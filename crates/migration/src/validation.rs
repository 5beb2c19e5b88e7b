//! Validation that runs while changes flow: every table is read once, part by part, under
//! writes; then rows that changed are compared again, as the stream names them, until the
//! cutover. Holds always: no transaction of it outlives a part; what is recorded as different
//! was shown to be; what is recorded as equal was equal at its position.

mod changed;
mod ledger;
mod pace;
mod settled;
mod shared;
mod table;
mod work;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trunkline_changes::{Side, TableName};
use trunkline_load::{Scope, Table};
use trunkline_postgres::{OnSide, PgError, Session};
use trunkline_verify::{Comparison, Online, Subject};

pub(crate) use changed::Changed;
use ledger::Expected;
pub(crate) use ledger::Ledger;
pub use pace::Share;
pub(crate) use shared::Counted;
pub use table::{TableValidation, ValidationState, ValidationStatus};

use crate::error::Error;
use crate::follow::Follow;
use crate::phases::verifying::{self, Selection};
use crate::run::Run;
use shared::{Job, Queue, Shared};

/// How validation works.
#[derive(Clone, Debug)]
pub struct ValidationPlan {
    /// Tables that are read at the same time.
    pub jobs: usize,
    /// How much of the source's time it takes.
    pub share: Share,
    /// Whether rows are compared again once they changed.
    pub continuous: bool,
    /// A table that is larger, in bytes, is read in parts of about this size.
    pub part_bytes: u64,
    /// Tables that are left out: the patterns, as typed and as read.
    pub left_out: Option<(Vec<String>, Scope)>,
    /// Columns that are left out: the table, and the column.
    pub columns_left_out: Vec<(TableName, String)>,
}

impl ValidationPlan {
    /// Whether a table is not compared.
    pub(crate) fn leaves_out(&self, table: &TableName) -> bool {
        let left_out = self.left_out.as_ref();
        left_out.is_some_and(|(_, scope)| scope.covers_table(table))
    }

    /// What is left out, for reports: patterns of tables, and columns.
    pub(crate) fn not_compared(&self) -> Vec<String> {
        let patterns = self
            .left_out
            .iter()
            .flat_map(|(patterns, _)| patterns.clone());
        let columns = self.columns_left_out.iter();
        let columns = columns.map(|(table, column)| format!("{table}.{column}"));
        patterns.chain(columns).collect()
    }

    /// What names nothing leaves nothing out, and would be reported as if it did. `tables` are
    /// the source's in scope.
    pub(crate) fn refuse_unmatched(&self, tables: &[Table]) -> Result<(), Error> {
        let refused = |key: &str, text: &str| Error::Plan {
            why: format!("`{key}` in [validation]: \"{text}\" matches nothing that moves"),
            hint: "name tables and columns as they are called on the source".to_owned(),
        };
        let patterns = self.left_out.iter().flat_map(|(patterns, _)| patterns);
        for pattern in patterns {
            let scope = Scope::from_patterns(std::slice::from_ref(pattern), &[])?;
            if !tables.iter().any(|table| scope.covers_table(&table.name)) {
                return Err(refused("exclude", pattern));
            }
        }
        for (of, column) in &self.columns_left_out {
            let table = tables.iter().find(|table| table.name == *of);
            let mut columns = table.iter().flat_map(|table| &*table.shape.columns);
            if !columns.any(|found| found.name == *column) {
                return Err(refused("exclude_columns", &format!("{of}.{column}")));
            }
        }
        Ok(())
    }

    /// Whether a column is not compared.
    pub(crate) fn leaves_out_column(&self, table: &TableName, column: &str) -> bool {
        let mut columns = self.columns_left_out.iter();
        columns.any(|(of, name)| of == table && name == column)
    }
}

/// Which tables are read as a whole, before rows that change are compared again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Those that were not read to the end.
    WhatIsLeft,
    /// Those, and those that did not match: somebody may have mended them.
    WhatDidNotMatch,
}

/// Running workers; they end with it.
pub(crate) struct Validation {
    workers: JoinSet<()>,
    stop: CancellationToken,
    shared: Arc<Shared>,
}

impl Validation {
    /// Begins, or goes on where the ledger says. `follow` tells it what changes and what is
    /// applied; its goal `Validated` is reached when every table was read once.
    pub(crate) async fn start(
        run: &mut Run<'_>,
        follow: &mut Follow,
        reading: Reading,
    ) -> Result<Self, Error> {
        let leg = follow.leg().clone();
        let standing = run.tables_and_places(leg.way).await?;
        let comparisons = verifying::comparisons(run.plan, &standing, &Selection::All);
        let rows = estimates(&standing, &comparisons);
        let subjects = study(run, &leg, comparisons).await?;
        let expected = expected(rows, &subjects);
        let ledger = ledger_of(run, leg.number);
        let mut session = run.connect(Side::Target, "validation").await?;
        ledger.expect(&mut session, &expected).await?;
        let known = ledger.read(&mut session).await?;
        session.close().await;

        let changed = Arc::clone(&run.changed);
        let (jobs, by_source) = jobs(&changed, &known, &subjects, reading);
        let progress = Arc::new(Counted::default());
        let of = jobs.len() as u64;
        progress.of.store(of, Ordering::Relaxed);
        let stop = CancellationToken::new();
        let plan = &run.plan.validation;
        let told = follow.told_anew();
        let shared = Arc::new(Shared {
            way: leg.way,
            read: run.plan.read_from(leg.way.from()).clone(),
            source: run.plan.source.clone(),
            target: run.plan.target.clone(),
            ledger,
            share: plan.share,
            continuous: plan.continuous,
            reads_again: reading == Reading::WhatIsLeft,
            workers: plan.jobs.max(1),
            changed: Arc::clone(&changed),
            applied: follow.applied_feed(),
            over_budget: run.log_budget.over(),
            stop: stop.clone(),
            round_done: told,
            subjects: by_source,
            queue: Mutex::new(Queue {
                left: jobs.into(),
                taken: Vec::new(),
                whole_at: Instant::now(),
            }),
            progress: Arc::clone(&progress),
            running: Mutex::default(),
        });
        follow.note_changes(changed, progress);
        let mut workers = JoinSet::new();
        for _ in 0..shared.workers {
            workers.spawn(work::work(Arc::clone(&shared)));
        }
        Ok(Validation {
            workers,
            stop,
            shared,
        })
    }

    /// Ends it: what was compared is recorded, the part under way is not.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while self.workers.join_next().await.is_some() {}
        self.shared.end_statements().await;
    }
}

/// What validation has recorded of a migration.
pub(crate) fn ledger_of(run: &Run<'_>, leg: u32) -> Ledger {
    Ledger {
        migration: run.control.identity().name.clone(),
        leg,
    }
}

async fn known(run: &Run<'_>, leg: u32) -> Result<Vec<TableValidation>, Error> {
    let mut session = run.connect(Side::Target, "validation").await?;
    let known = ledger_of(run, leg).read(&mut session).await?;
    session.close().await;
    Ok(known)
}

/// The tables that only a comparison at one position can tell about.
pub(crate) async fn unsettled(
    run: &Run<'_>,
    leg: u32,
) -> Result<std::collections::BTreeSet<TableName>, Error> {
    let known = known(run, leg).await?.into_iter();
    let open = known.filter(|table| {
        !matches!(
            table.state,
            ValidationState::Matched | ValidationState::Differing
        )
    });
    Ok(open.map(|table| table.table).collect())
}

/// The tables that are not known to be equal.
pub(crate) async fn not_equal(run: &Run<'_>, leg: u32) -> Result<Vec<TableValidation>, Error> {
    let known = known(run, leg).await?.into_iter();
    let not_equal = known.filter(|table| table.state != ValidationState::Matched);
    Ok(not_equal.collect())
}

/// For `status`: what is known of every table.
pub(crate) async fn status(
    session: &mut Session,
    migration: &str,
    leg: u32,
) -> Result<Option<ValidationStatus>, Error> {
    let ledger = Ledger {
        migration: migration.to_owned(),
        leg,
    };
    let tables = ledger.read(session).await?;
    Ok((!tables.is_empty()).then(|| ValidationStatus::of(tables)))
}

fn estimates(standing: &crate::run::Tables, comparisons: &[Comparison]) -> Vec<(TableName, u64)> {
    let rows_of: BTreeMap<&TableName, u64> = standing
        .moving
        .iter()
        .map(|table| (&table.name, table.estimated_rows))
        .collect();
    let rows = |comparison: &Comparison| {
        let sources = comparison.sources.iter();
        sources.filter_map(|source| rows_of.get(source)).sum()
    };
    let each = comparisons.iter();
    each.map(|comparison| (comparison.target.clone(), rows(comparison)))
        .collect()
}

/// What of each table is compared: when that changes, what was found says nothing any more.
fn expected(rows: Vec<(TableName, u64)>, subjects: &[Subject]) -> Vec<Expected> {
    let compared = subjects
        .iter()
        .map(|subject| format!("{:?} by {:?}", subject.columns(), subject.key()));
    rows.into_iter()
        .zip(compared)
        .map(|((table, rows), compared)| Expected {
            table,
            rows,
            compared,
        })
        .collect()
}

async fn study(
    run: &Run<'_>,
    leg: &crate::journal::Leg,
    comparisons: Vec<Comparison>,
) -> Result<Vec<Subject>, Error> {
    let (from, to) = (leg.way.from(), leg.way.to());
    let (read, written) = (run.plan.read_from(from), run.plan.server(to));
    let mut online = Online::connect((from, read), (to, written)).await?;
    let subjects = online.study(comparisons).await?;
    online.close().await;
    Ok(subjects)
}

/// What is left to read, and every subject by the names that changes come by.
fn jobs(
    changed: &Changed,
    known: &[TableValidation],
    subjects: &[Subject],
    reading: Reading,
) -> (Vec<Job>, BTreeMap<TableName, Subject>) {
    let known: BTreeMap<&TableName, &TableValidation> =
        known.iter().map(|table| (&table.table, table)).collect();
    let (mut jobs, mut by_source) = (Vec::new(), BTreeMap::new());
    for subject in subjects {
        for source in subject.sources() {
            changed.watch(source, subject.key());
            by_source.insert(source.clone(), subject.clone());
        }
        let Some(table) = known.get(subject.table()) else {
            continue;
        };
        if table.state != ValidationState::Pending {
            // Nobody noted what changed since it was read.
            subject
                .sources()
                .iter()
                .for_each(|source| changed.whole_again(source));
        }
        let is_read = match reading {
            Reading::WhatDidNotMatch => table.state != ValidationState::Matched,
            Reading::WhatIsLeft => table.state.is_open(),
        };
        if is_read {
            jobs.push(Job::Table {
                subject: subject.clone(),
                above: table.above.clone(),
            });
        }
    }
    (jobs, by_source)
}

/// Takes what a comparison at one position found over into the ledger.
pub(crate) async fn settled(
    run: &Run<'_>,
    leg: u32,
    report: &crate::report::VerifyReport,
) -> Result<(), Error> {
    let ledger = ledger_of(run, leg);
    let mut session = run.connect(Side::Target, "validation").await?;
    let make = include_str!("sql/validation/schema.sql");
    let made: Result<u64, PgError> = session.batch(make).await;
    made.on(Side::Target, "recording what was validated")?;
    let found = (report.row_differences.as_slice(), report.barrier_lsn);
    ledger.settled(&mut session, &report.tables, found).await?;
    session.close().await;
    Ok(())
}
