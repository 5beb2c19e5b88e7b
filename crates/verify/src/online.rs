//! A part compared while both sides are written to, without a common snapshot: checksums
//! first, and where they differ, looks at its rows, each behind what the look before saw
//! (`looks`). Holds always: no transaction outlives a look; what is named differs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smol_str::SmolStr;
use trunkline_changes::{Lsn, Side, TableName};
use trunkline_postgres::{Canceller, Conninfo, Fault, OnSide, PgError, Session};

use crate::compare::{Sides, study};
use crate::comparison::Comparison;
use crate::difference::RowDifference;
use crate::emptied::was_rewritten;
use crate::limits::KEYS_AT_ONCE;
use crate::looks::Suspects;
use crate::merge::Leftovers;
use crate::shape::{Range, Rows, Shape};
use crate::verdict::RowCounts;
use crate::worker::{BEFORE_TABLE, Worker};

/// Tells when the side that changes go to has caught up.
pub trait Behind {
    /// Returns once everything that was committed on the side that changes come from, when
    /// this was called, is on the other; gives that position.
    fn caught_up(&mut self) -> impl Future<Output = Result<Lsn, Fault>> + Send;
}

/// A table that is compared part by part.
#[derive(Clone, Debug)]
pub struct Subject(Arc<Shape>);

impl Subject {
    /// Its name on the side that changes go to.
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.0.comparison.target
    }

    /// The tables that its rows come from.
    #[must_use]
    pub fn sources(&self) -> &[TableName] {
        &self.0.comparison.sources
    }

    /// The columns that tell its rows apart; empty where nothing does.
    #[must_use]
    pub fn key(&self) -> Vec<SmolStr> {
        self.0.key_names().map(SmolStr::from).collect()
    }

    /// The columns that are compared, by name.
    #[must_use]
    pub fn columns(&self) -> &[SmolStr] {
        &self.0.comparison.columns
    }

    /// How large it is, in bytes, about.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.comparison.bytes
    }

    /// Whether it can be read in ranges of its key.
    #[must_use]
    pub fn can_be_cut(&self) -> bool {
        self.0.can_be_cut()
    }
}

/// How a part came out.
#[derive(Clone, Debug, Default)]
pub struct PartReport {
    /// Rows of the side that changes come from.
    pub rows: u64,
    /// Rows that differ, all of them.
    pub counts: RowCounts,
    /// The same by name, as many as are named.
    pub named: Vec<RowDifference>,
    /// Rows that were written to all the time, so that nothing is known of them.
    pub busy: u64,
    /// A position of the side that changes come from: every change before it was seen.
    pub position: Option<Lsn>,
    /// How long the statements on the side that changes come from took.
    pub source_time: Duration,
}

/// A pair of sessions that compares parts under writes.
pub struct Online {
    worker: Worker,
    source_time: Duration,
}

impl Online {
    /// Connects to both sides: `from` is the server that changes come from.
    pub async fn connect(from: (Side, &Conninfo), to: (Side, &Conninfo)) -> Result<Self, Fault> {
        let doing = "connecting to validate";
        let sides = Sides {
            from: from.0,
            to: to.0,
        };
        let worker = Worker {
            from: Session::connect(from.1, "validate")
                .await
                .on(from.0, doing)?,
            to: Session::connect(to.1, "validate").await.on(to.0, doing)?,
            sides,
            source_time: Duration::ZERO,
        };
        Ok(Online {
            worker,
            source_time: Duration::ZERO,
        })
    }

    /// Reads what both catalogs say of some tables.
    pub async fn study(&mut self, comparisons: Vec<Comparison>) -> Result<Vec<Subject>, Fault> {
        let shapes = study(&mut self.worker, comparisons).await?;
        Ok(shapes.into_iter().map(Subject).collect())
    }

    /// Where the part that begins above a key ends; no end when it is the last one.
    pub async fn cut(&mut self, subject: &Subject, above: Option<String>) -> Result<Range, Fault> {
        let began = Instant::now();
        let range = self.worker.cut_off(&subject.0, above).await?;
        self.source_time += began.elapsed();
        Ok(range)
    }

    /// Compares some rows; looks at what differs up to so many times. With one look nothing
    /// can be known of rows that differ: they are busy.
    pub async fn compare(
        &mut self,
        subject: &Subject,
        (rows, looks): (Rows, u32),
        behind: &mut (impl Behind + Send),
    ) -> Result<PartReport, Fault> {
        let mut report = PartReport::default();
        let mut rows = rows;
        self.open().await?;
        let (from, to) = self.timed_sums(subject, &rows).await?;
        report.rows = from.0.rows;
        let agree = from.0 == to.0 && !from.1 && !to.1;
        if !agree {
            self.look_closer(subject, (&mut rows, looks), behind, &mut report)
                .await?;
        }
        self.end().await?;
        report.source_time = std::mem::take(&mut self.source_time);
        Ok(report)
    }

    /// Inside the transactions of the first look.
    async fn look_closer(
        &mut self,
        subject: &Subject,
        (rows, looks): (&mut Rows, u32),
        behind: &mut (impl Behind + Send),
        report: &mut PartReport,
    ) -> Result<(), Fault> {
        let mut suspects: Option<Suspects> = None;
        for look in 1..=looks {
            let left = self.timed_list(subject, rows).await?;
            if self.was_emptied(subject).await? {
                // What was read is not what the snapshots saw: another look begins anew.
                suspects = None;
                report.busy = left.counts.total().max(1);
            } else if let Some(suspects) = &mut suspects {
                let judged = suspects.judge(left);
                report.busy = judged.open;
                self.name(subject, judged.confirmed, report).await?;
            } else {
                report.busy = left.counts.total();
                suspects = Some(Suspects::new(&left, subject.0.has_key()));
                self.narrow(subject, rows, left).await?;
            }
            if report.busy == 0 || look == looks {
                return Ok(());
            }
            self.end().await?;
            report.position = Some(behind.caught_up().await?);
            self.open().await?;
        }
        Ok(())
    }

    async fn name(
        &mut self,
        subject: &Subject,
        confirmed: Vec<crate::merge::Left>,
        report: &mut PartReport,
    ) -> Result<(), Fault> {
        if confirmed.is_empty() {
            return Ok(());
        }
        // Without a key, two rows may turn out to be one: only the naming counts.
        let named = self
            .worker
            .name(&subject.0, Leftovers::of(confirmed))
            .await?;
        report.counts = report.counts.and(named.counts);
        report.named.extend(named.rows);
        Ok(())
    }

    /// When few rows with a key are under suspicion, only those are read from now on.
    async fn narrow(
        &mut self,
        subject: &Subject,
        rows: &mut Rows,
        left: Leftovers,
    ) -> Result<(), Fault> {
        let total = left.counts.total();
        if !subject.0.has_key() || total != left.named.len() as u64 || total > KEYS_AT_ONCE as u64 {
            return Ok(());
        }
        let named = self.worker.name(&subject.0, left).await?;
        let values = |row: &RowDifference| {
            let values = row.key.iter().map(|part| part.value.clone());
            values.collect::<Option<Vec<String>>>()
        };
        let keys: Option<Vec<Vec<String>>> = named.rows.iter().map(values).collect();
        if let Some(keys) = keys
            && keys.iter().all(|key| !key.is_empty())
        {
            *rows = Rows::Keys(keys);
        }
        Ok(())
    }

    /// Takes the snapshots of a look: first the side that changes go to.
    async fn open(&mut self) -> Result<(), Fault> {
        let doing = "opening a snapshot to validate";
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1; SAVEPOINT {BEFORE_TABLE}"
        );
        let Worker {
            from, to, sides, ..
        } = &mut self.worker;
        to.batch(&sql).await.on(sides.to, doing)?;
        from.batch(&sql).await.on(sides.from, doing)?;
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Fault> {
        let doing = "ending a look";
        let Worker {
            from, to, sides, ..
        } = &mut self.worker;
        from.batch("COMMIT").await.on(sides.from, doing)?;
        to.batch("COMMIT").await.on(sides.to, doing)?;
        Ok(())
    }

    async fn timed_sums(
        &mut self,
        subject: &Subject,
        rows: &Rows,
    ) -> Result<crate::worker::Sums, Fault> {
        let sums = self.worker.sums(&subject.0, rows).await;
        self.source_time += std::mem::take(&mut self.worker.source_time);
        sums
    }

    async fn timed_list(&mut self, subject: &Subject, rows: &Rows) -> Result<Leftovers, Fault> {
        let began = Instant::now();
        let left = self.worker.list(&subject.0, rows).await;
        self.source_time += began.elapsed();
        left
    }

    async fn was_emptied(&mut self, subject: &Subject) -> Result<bool, Fault> {
        let doing = "looking whether a table was emptied";
        let comparison = &subject.0.comparison;
        let Worker {
            from, to, sides, ..
        } = &mut self.worker;
        for source in &comparison.sources {
            if was_rewritten(from, source).await.on(sides.from, doing)? {
                return Ok(true);
            }
        }
        let emptied: Result<bool, PgError> = was_rewritten(to, &comparison.target).await;
        emptied.on(sides.to, doing)
    }

    /// What ends the sessions' statements from elsewhere.
    #[must_use]
    pub fn cancellers(&self) -> [Canceller; 2] {
        [self.worker.from.canceller(), self.worker.to.canceller()]
    }

    /// Ends both sessions.
    pub async fn close(self) {
        self.worker.from.close().await;
        self.worker.to.close().await;
    }
}
