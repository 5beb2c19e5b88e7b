//! Opening a table: looking at what the ledger holds of it, emptying what was left
//! half-way, and cutting it. A table that is one part is copied here and now.

use std::sync::Arc;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{OnSide, PgError, Session, SqlState};

use super::job::CopyJob;
use super::queue::Unit;
use super::worker::{Copier, Pair, Shared, SharedSnapshot};
use crate::chunks::{self, Cut, Part, Plan};
use crate::error::LoadError;
use crate::ledger::{self, Recorded};
use crate::progress::TableState;

impl Copier {
    /// The parts that are to be loaded; none when the table is done.
    pub(crate) async fn open(
        &self,
        pair: &mut Pair,
        number: usize,
    ) -> Result<Vec<Unit<Shared>>, LoadError> {
        let job = &self.jobs[number];
        if job.is_copied() {
            count(job, job.recorded());
            return Ok(Vec::new());
        }
        job.progress.set_state(TableState::Copying);
        let (_, target) = pair.both(self).await?;
        // Whether it is empty is asked when its turn comes, however long it waited: rows of
        // somebody else would be emptied, or mixed with ours. An empty table that the ledger
        // did not know needs no other question.
        if !job.take_unrecorded() || holds_rows(target, job).await? {
            let recorded = ledger::read_table(target, job.name()).await?;
            if let Some(units) = resumed(number, job, &recorded) {
                self.before_parts(pair, job, units.len()).await?;
                return Ok(units);
            }
            if !recorded.is_empty() {
                start_over(target, job).await?;
            } else if holds_rows(target, job).await? {
                // A transaction of an earlier try may have ended since the first look.
                let recorded = ledger::read_table(target, job.name()).await?;
                let units = resumed(number, job, &recorded);
                let units = units.ok_or_else(|| LoadError::TargetNotEmpty {
                    table: job.target().clone(),
                })?;
                self.before_parts(pair, job, units.len()).await?;
                return Ok(units);
            }
        }
        if *job.plan() != Plan::Whole {
            self.store_as_is(pair, job).await?;
        }
        match job.plan() {
            Plan::Whole => self.whole(pair, job).await,
            Plan::Pages(parts) => self.pages(pair, number, parts).await,
            Plan::Key { column, ranges } => self.key_ranges(pair, number, column, *ranges).await,
        }
    }

    /// Before parts that are left over.
    async fn before_parts(
        &self,
        pair: &mut Pair,
        job: &CopyJob,
        left: usize,
    ) -> Result<(), LoadError> {
        if left > 0 {
            self.store_as_is(pair, job).await?;
        }
        Ok(())
    }

    async fn whole(&self, pair: &mut Pair, job: &CopyJob) -> Result<Vec<Unit<Shared>>, LoadError> {
        self.load_part(pair, job, &Cut::Whole, &Part::WHOLE, None)
            .await?;
        Ok(Vec::new())
    }

    /// Takes the snapshot that all parts share, in a session that does nothing else.
    async fn pages(
        &self,
        pair: &mut Pair,
        number: usize,
        parts: &[Part],
    ) -> Result<Vec<Unit<Shared>>, LoadError> {
        let job = &self.jobs[number];
        let doing = format!("taking the snapshot of {}", job.name());
        let mut leader = Session::connect(&self.source, "snapshot")
            .await
            .on(Side::Source, &doing)?;
        let view = self.begin(&mut leader, job).await?;
        let row = leader
            .query_one("SELECT pg_export_snapshot()", &[])
            .await
            .on(Side::Source, &doing)?;
        let id: String = row.get(0).on(Side::Source, &doing)?;
        let sql = ledger::plan_sql(job.name(), &Cut::Pages, parts, Some(&view));
        let (_, target) = pair.both(self).await?;
        target.batch(&sql).await.on(
            Side::Target,
            format!("planning the parts of {}", job.name()),
        )?;
        let snapshot = SharedSnapshot {
            id,
            view,
            leader: tokio::sync::Mutex::new(leader),
        };
        let shared = Arc::new(Shared {
            cut: Cut::Pages,
            snapshot: Some(snapshot),
        });
        Ok(parts
            .iter()
            .map(|&part| Copier::unit(number, part, &shared))
            .collect())
    }

    /// Cuts by the key; the bounds are kept in the ledger, so that a restart finds them.
    async fn key_ranges(
        &self,
        pair: &mut Pair,
        number: usize,
        column: &str,
        ranges: u64,
    ) -> Result<Vec<Unit<Shared>>, LoadError> {
        let job = &self.jobs[number];
        let (source, target) = pair.both(self).await?;
        let doing = format!("reading how the keys of {} are spread", job.name());
        let sample = key_sample(source, job.name(), column)
            .await
            .on(Side::Source, doing)?;
        let parts = chunks::between(&chunks::key_bounds(&sample, ranges));
        if parts.len() < 2 {
            return self.whole(pair, job).await;
        }
        let cut = Cut::Key(column.to_owned());
        let sql = ledger::plan_sql(job.name(), &cut, &parts, None);
        target.batch(&sql).await.on(
            Side::Target,
            format!("planning the ranges of {}", job.name()),
        )?;
        let shared = Arc::new(Shared {
            cut,
            snapshot: None,
        });
        Ok(parts
            .into_iter()
            .map(|part| Copier::unit(number, part, &shared))
            .collect())
    }
}

/// The key ranges that an earlier run left over; `None` when there is nothing to go on
/// with: parts by pages have lost the snapshot that they shared.
fn resumed(number: usize, job: &CopyJob, recorded: &[Recorded]) -> Option<Vec<Unit<Shared>>> {
    let first = recorded.first()?;
    let all = recorded.iter().all(|part| part.copied);
    if !all && !matches!(first.cut, Cut::Key(_)) {
        return None;
    }
    count(job, recorded);
    let shared = Arc::new(Shared {
        cut: first.cut.clone(),
        snapshot: None,
    });
    let left = recorded.iter().filter(|part| !part.copied);
    Some(
        left.map(|part| Copier::unit(number, part.part, &shared))
            .collect(),
    )
}

fn count(job: &CopyJob, recorded: &[Recorded]) {
    for part in recorded.iter().filter(|part| part.copied) {
        job.progress.add(part.rows, part.bytes);
    }
}

/// Whether a table holds rows before its first part came; where several of the source's go
/// into one, that says nothing.
async fn holds_rows(target: &mut Session, job: &CopyJob) -> Result<bool, LoadError> {
    if !job.alone {
        return Ok(false);
    }
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM ONLY {})",
        job.target().quoted()
    );
    let doing = format!("looking whether {} is empty", job.target());
    let row = target.query_one(&sql, &[]).await.on(Side::Target, &doing)?;
    Ok(row.get::<bool>(0).on(Side::Target, &doing)?)
}

/// Empties a table whose shared snapshot was lost, and forgets its parts, in one
/// transaction. The rows are ours: the ledger says so.
async fn start_over(target: &mut Session, job: &CopyJob) -> Result<(), LoadError> {
    let (table, forget) = (job.target().quoted(), ledger::forget_sql(job.name()));
    let doing = format!("emptying {} to copy it again", job.target());
    let emptied = target
        .batch(&format!("TRUNCATE TABLE ONLY {table}; {forget}"))
        .await;
    match emptied {
        // A foreign key of a structure that was there before refers to it.
        Err(error) if error.sqlstate() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            target
                .batch(&format!("DELETE FROM ONLY {table}; {forget}"))
                .await
                .on(Side::Target, doing)?;
        }
        other => {
            other.on(Side::Target, doing)?;
        }
    }
    Ok(())
}

/// Values of a key in order: the planner's histogram between the least and the greatest.
async fn key_sample(
    source: &mut Session,
    table: &TableName,
    column: &str,
) -> Result<Vec<i64>, PgError> {
    let sql = "SELECT histogram_bounds::text::bigint[] FROM pg_stats \
               WHERE schemaname = $1::text AND tablename = $2::text AND attname = $3::text AND NOT inherited";
    let row = source
        .query_opt(sql, &[&table.schema, &table.name, &column])
        .await?;
    let histogram: Option<String> = row.map(|row| row.get(0)).transpose()?.flatten();
    let mut sample: Vec<i64> = histogram
        .map(|text| {
            text.trim_matches(['{', '}'])
                .split(',')
                .filter_map(|key| key.parse().ok())
                .collect()
        })
        .unwrap_or_default();
    let quoted = trunkline_changes::quote_ident(column);
    let ends = format!(
        "SELECT min({quoted}), max({quoted}) FROM ONLY {}",
        table.quoted()
    );
    let row = source.query_one(&ends, &[]).await?;
    for end in [row.get::<Option<i64>>(0)?, row.get::<Option<i64>>(1)?] {
        sample.extend(end);
    }
    sample.sort_unstable();
    Ok(sample)
}
