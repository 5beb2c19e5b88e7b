//! Many small tables in one transaction of either side: a table of a few rows costs its two
//! COPYs and no round trips of its own.

use trunkline_changes::{Side, quote_literal};
use trunkline_postgres::{OnSide, PgError, Session, pump_in_turn};

use super::job::CopyJob;
use super::part::{begin_reading, lock_sql};
use super::worker::{Copier, Pair};
use crate::chunks::{Bounds, Cut, Part};
use crate::error::LoadError;
use crate::ledger::{self, Loaded};
use crate::limits::GROWN_BYTES;
use crate::progress::TableState;

impl Copier {
    /// Copies small tables that the ledger did not know when the copy began. Gives those that
    /// are still to be looked at one by one: all, where anything went wrong. Nothing of it
    /// has happened then, or an end of it that was not seen.
    pub(crate) async fn together(
        &self,
        pair: &mut Pair,
        numbers: Vec<usize>,
    ) -> Result<Vec<usize>, LoadError> {
        let jobs: Vec<&CopyJob> = numbers.iter().map(|&number| &self.jobs[number]).collect();
        for job in &jobs {
            job.take_unrecorded();
            job.progress.set_state(TableState::Copying);
        }
        let tried = tokio::select! {
            tried = self.try_together(pair, &jobs) => tried,
            () = self.cancel.cancelled() => return Err(LoadError::Cancelled),
        };
        match tried {
            Ok(true) => {
                for number in numbers {
                    self.table_is_copied(number);
                }
                return Ok(Vec::new());
            }
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(tables = jobs.len(), %error, "small tables go one by one");
                pair.forget();
            }
        }
        Ok(numbers)
    }

    async fn try_together(&self, pair: &mut Pair, jobs: &[&CopyJob]) -> Result<bool, LoadError> {
        let doing = format!("copying {} small tables", jobs.len());
        let (source, target) = pair.both(self).await?;
        if any_holds_rows(target, jobs)
            .await
            .on(Side::Target, &doing)?
        {
            return Ok(false);
        }
        // Who waits for one lock while holding another can be part of a deadlock, and of a
        // deadlock the server may end the client's transaction.
        let lock = format!("{} NOWAIT", lock_sql(jobs));
        let view = begin_reading(source, &lock)
            .await
            .on(Side::Source, &doing)?;
        // What has grown since its size was read would hold the others' locks for as long.
        if bytes(source, jobs).await.on(Side::Source, &doing)? > GROWN_BYTES {
            source.batch("ROLLBACK").await.on(Side::Source, &doing)?;
            return Ok(false);
        }
        target.batch("BEGIN").await.on(Side::Target, &doing)?;
        let copy = |job: &&CopyJob| {
            let out = job.out_sql(&Cut::Whole, Bounds::default());
            (out, job.in_sql(false))
        };
        let copies: Vec<(String, String)> = jobs.iter().map(copy).collect();
        let copies: Vec<(&str, &str)> = copies.iter().map(|(o, i)| (&**o, &**i)).collect();
        let pumped = pump_in_turn(source, target, &copies, &|_, _| ()).await?;
        let loaded = jobs.iter().zip(&pumped).map(|(job, pumped)| Loaded {
            table: job.name(),
            cut: &Cut::Whole,
            part: &Part::WHOLE,
            rows: pumped.rows,
            bytes: pumped.bytes,
        });
        let copied = ledger::copied_sql(loaded, &view);
        let ours = target.batch(&copied).await.on(Side::Target, &doing)? == jobs.len() as u64;
        let end = if ours { "COMMIT" } else { "ROLLBACK" };
        target.batch(end).await.on(Side::Target, &doing)?;
        if ours {
            for (job, pumped) in jobs.iter().zip(&pumped) {
                job.progress.add(pumped.rows, pumped.bytes);
            }
        }
        // The rows are in; how the reading transaction ends changes nothing.
        if let Err(error) = source.batch("COMMIT").await {
            tracing::debug!(%error, "the reading transaction did not end well");
        }
        Ok(ours)
    }
}

async fn any_holds_rows(target: &mut Session, jobs: &[&CopyJob]) -> Result<bool, PgError> {
    let holds = |job: &&CopyJob| format!("EXISTS (SELECT FROM ONLY {})", job.target().quoted());
    let any: Vec<String> = jobs.iter().map(holds).collect();
    let sql = format!("SELECT {}", any.join(" OR "));
    target.query_one(&sql, &[]).await?.get(0)
}

async fn bytes(source: &mut Session, jobs: &[&CopyJob]) -> Result<u64, PgError> {
    let quoted = |job: &&CopyJob| quote_literal(&job.name().quoted());
    let tables: Vec<String> = jobs.iter().map(quoted).collect();
    let sql = format!(
        "SELECT sum(pg_catalog.pg_table_size(name::pg_catalog.regclass))::bigint FROM unnest(ARRAY[{}]) AS name",
        tables.join(", ")
    );
    source.query_one(&sql, &[]).await?.get(0)
}
