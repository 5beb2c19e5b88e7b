//! Any two databases compared as they are, without a migration: tables down to the row,
//! structure, sequences, large objects. Holds always: nothing is written on either side, no
//! slot is made, and what could not be read is said and never taken for equal.

mod comparing;
mod large_objects;
mod pairing;
mod report;
mod rights;
mod sequences;
mod settling;

use std::time::{Duration, Instant};

use trunkline_changes::{Side, TableName};
use trunkline_load::{Scope, Table, Unowned};
use trunkline_postgres::{OnSide, Session};
use trunkline_verify::{
    Outcome, RowCounts, RowDifference, SchemaDescription, SchemaDifference, TableVerdict,
    schema_differences,
};

pub use report::{
    AloneReport, ColumnLeftOut, LargeObjectDifference, LargeObjectsReport, MissingTable,
    NotCompared, SequenceOutcome, SequencePosition, SequenceReport, Uncompared,
};

use crate::choice::{self, Chosen};
use crate::commands::{Setting, reopening};
use crate::error::Error;
use crate::observer::Notice;
use crate::plan::Plan;
use crate::report::SCHEMA_VERSION;
use comparing::Work;
use pairing::Pairing;

/// Which parts of the databases are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// Structure and contents.
    #[default]
    All,
    /// The contents only.
    Contents,
    /// The structure only.
    Structure,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct AloneRequest {
    /// Which tables and rows.
    pub chosen: Chosen,
    /// Which parts.
    pub parts: Parts,
    /// How long rows that differ are looked at again.
    pub settle: Duration,
}

/// Why two databases can only be compared as they are: the target knows no migration of the
/// plan's name. `None` where there is one.
pub async fn without_migration(plan: &Plan) -> Result<Option<String>, Error> {
    let doing = "looking for a migration on the target";
    let connected = Session::connect(&plan.target, "verify").await;
    let mut target = match connected.on(Side::Target, doing).map_err(Error::from) {
        // What a rollback closed belongs to a migration.
        Err(error) if reopening::is_closed(&error) => return Ok(None),
        connected => connected?,
    };
    let sql = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n \
               ON n.oid = c.relnamespace WHERE n.nspname = 'trunkline' AND c.relname = 'migration')";
    let row = target.query_one(sql, &[]).await.on(Side::Target, doing)?;
    let mut names = Vec::new();
    if row.get(0).on(Side::Target, doing)? {
        let doing = "reading which migration the target belongs to (--alone does without)";
        let rows = target
            .query("SELECT name FROM trunkline.migration", &[])
            .await
            .on(Side::Target, doing)?;
        for row in &rows {
            names.push(row.get::<String>(0).on(Side::Target, doing)?);
        }
    }
    target.close().await;
    if names.contains(&plan.name) {
        return Ok(None);
    }
    Ok(Some(match names.first() {
        None => format!("there is no migration `{}` on the target", plan.name),
        Some(other) => format!("the target belongs to another migration, `{other}`"),
    }))
}

/// Compares the two databases of a plan as they are.
pub async fn verify_alone(
    setting: &Setting<'_>,
    request: &AloneRequest,
) -> Result<AloneReport, Error> {
    let work = Work::new(setting.plan, setting.observer);
    let ended = tokio::select! {
        report = compare(&work, request) => Some(report),
        () = setting.cancel.cancelled() => None,
    };
    match ended {
        Some(Ok(report)) => Ok(report),
        Some(Err(error)) => {
            work.end().await;
            let condition = request.chosen.condition.as_ref();
            Err(choice::refuse_condition(condition, error))
        }
        None => {
            work.end().await;
            Err(Error::Stopped)
        }
    }
}

/// A session on either side that sees one state, and cannot write.
struct Ends {
    source: Session,
    target: Session,
}

impl Ends {
    async fn open(work: &Work<'_>) -> Result<Self, Error> {
        let doing = "connecting to compare";
        let plan = work.plan;
        let (mut source, mut target) = tokio::try_join!(
            async {
                Session::connect(&plan.source, "verify")
                    .await
                    .on(Side::Source, doing)
            },
            async {
                Session::connect(&plan.target, "verify")
                    .await
                    .on(Side::Target, doing)
            },
        )?;
        work.runs(vec![source.canceller(), target.canceller()]);
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        source.batch(begin).await.on(Side::Source, doing)?;
        target.batch(begin).await.on(Side::Target, doing)?;
        Ok(Ends { source, target })
    }

    /// What is committed and what runs, as both sides see it; `None` while something runs.
    async fn activity(&mut self) -> Result<Option<[String; 2]>, Error> {
        let doing = "reading which transactions run";
        let sql = "SELECT txid_current_snapshot()::text";
        let one = self.source.query_one(sql, &[]).await;
        let one: String = one.and_then(|row| row.get(0)).on(Side::Source, doing)?;
        let other = self.target.query_one(sql, &[]).await;
        let other: String = other.and_then(|row| row.get(0)).on(Side::Target, doing)?;
        let rests = |seen: &String| seen.ends_with(':');
        Ok((rests(&one) && rests(&other)).then_some([one, other]))
    }

    /// Sees the latest state from now on.
    async fn let_go(&mut self) -> Result<(), Error> {
        let doing = "ending a snapshot";
        self.source.batch("COMMIT").await.on(Side::Source, doing)?;
        self.target.batch("COMMIT").await.on(Side::Target, doing)?;
        Ok(())
    }
}

async fn compare(work: &Work<'_>, request: &AloneRequest) -> Result<AloneReport, Error> {
    let began = Instant::now();
    let mut ends = Ends::open(work).await?;
    let mut report = AloneReport {
        schema_version: SCHEMA_VERSION,
        equal: false,
        partial: !request.chosen.is_everything(),
        ..AloneReport::default()
    };
    let listed = list(work.plan, &mut ends, &request.chosen).await?;
    if request.parts != Parts::Contents {
        work.observer
            .notice(Notice::Step("comparing the structure"));
        report.schema_differences = structure(&mut ends, &listed, request).await?;
    }
    if request.parts != Parts::Structure {
        contents(work, ends, request, &listed, &mut report).await?;
    }
    report.equal = !report.differs() && report.errors.is_empty();
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

/// The tables of both sides that are in scope and were chosen.
struct Listed {
    source: Vec<Table>,
    target: Vec<Table>,
}

impl Listed {
    fn names(&self) -> Vec<TableName> {
        let all = self.source.iter().chain(&self.target);
        let mut names: Vec<TableName> = all.map(|table| table.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

async fn list(plan: &Plan, ends: &mut Ends, chosen: &Chosen) -> Result<Listed, Error> {
    let scope = &plan.scope;
    let mut source = trunkline_load::tables_by_now(&mut ends.source, Side::Source, scope).await?;
    let mut target = trunkline_load::tables_by_now(&mut ends.target, Side::Target, scope).await?;
    if let Some(tables) = &chosen.tables {
        refuse_unmatched(ends, chosen, &source, &target).await?;
        let here = trunkline_load::tables_by_now(&mut ends.source, Side::Source, tables).await?;
        let there = trunkline_load::tables_by_now(&mut ends.target, Side::Target, tables).await?;
        let keep = |list: &mut Vec<Table>, chosen: &[Table]| {
            list.retain(|table| chosen.iter().any(|found| found.name == table.name));
        };
        keep(&mut source, &here);
        keep(&mut target, &there);
    }
    Ok(Listed { source, target })
}

/// A pattern that matches no table of either side is an error, never an empty success.
async fn refuse_unmatched(
    ends: &mut Ends,
    chosen: &Chosen,
    source: &[Table],
    target: &[Table],
) -> Result<(), Error> {
    for pattern in &chosen.patterns {
        let scope = Scope::from_patterns(std::slice::from_ref(pattern), &[])?;
        let mut all = source.iter().chain(target);
        if !all.any(|table| scope.covers_table(&table.name)) {
            trunkline_load::tables(&mut ends.source, &scope).await?;
        }
    }
    Ok(())
}

async fn structure(
    ends: &mut Ends,
    listed: &Listed,
    request: &AloneRequest,
) -> Result<Vec<SchemaDifference>, Error> {
    let doing = "reading the structure";
    let names = request.chosen.tables.as_ref().map(|_| listed.names());
    let names = names.as_deref();
    let (here, there) = tokio::try_join!(
        async {
            let read = SchemaDescription::read(&mut ends.source, names).await;
            read.on(Side::Source, doing)
        },
        async {
            let read = SchemaDescription::read(&mut ends.target, names).await;
            read.on(Side::Target, doing)
        },
    )?;
    Ok(schema_differences(&here, &there))
}

/// Rows, sequences and large objects.
async fn contents(
    work: &Work<'_>,
    mut ends: Ends,
    request: &AloneRequest,
    listed: &Listed,
    report: &mut AloneReport,
) -> Result<(), Error> {
    let mut pairing = pairing::pair(&listed.source, &listed.target);
    report.missing_tables = std::mem::take(&mut pairing.missing);
    report.columns_left_out = std::mem::take(&mut pairing.columns);
    keep_readable(&mut ends, &mut pairing, report).await?;
    request.chosen.narrow(&mut pairing.comparisons);
    let (source, target) = (&mut ends.source, &mut ends.target);
    let Pairing {
        roots, comparisons, ..
    } = &pairing;
    choice::refuse_unusable(
        &request.chosen,
        roots,
        comparisons,
        source,
        target,
        Side::Source,
    )
    .await?;
    let scope = request.chosen.tables.as_ref();
    let unowned = scope.map_or(Unowned::BySchema, |_| Unowned::LeftOut);
    let scope = scope.unwrap_or(&work.plan.scope);
    let found = sequences::compare(source, target, scope, unowned).await?;
    report.sequence_differences = found.differences;
    report.errors.extend(found.errors);
    if request.chosen.is_everything() {
        work.observer
            .notice(Notice::Step("comparing large objects"));
        let found = large_objects::compare(source, target).await?;
        report.large_objects = Some(found.report);
        report.errors.extend(found.errors);
    }
    work.observer.notice(Notice::Step("comparing rows"));
    rows(work, ends, request, &pairing, report).await
}

/// Leaves out what our role may not read on a side, and says so.
async fn keep_readable(
    ends: &mut Ends,
    pairing: &mut Pairing,
    report: &mut AloneReport,
) -> Result<(), Error> {
    let list = &pairing.comparisons;
    let sources = list.iter().flat_map(|comparison| &comparison.sources);
    let on_source = rights::barred(&mut ends.source, Side::Source, sources).await?;
    let targets = list.iter().map(|comparison| &comparison.target);
    let on_target = rights::barred(&mut ends.target, Side::Target, targets).await?;
    pairing.comparisons.retain(|comparison| {
        let sources = comparison.sources.iter();
        let mut reasons: Vec<(Side, &TableName, &String)> = sources
            .filter_map(|name| Some((Side::Source, name, on_source.get(name)?)))
            .collect();
        let reason = on_target.get(&comparison.target);
        reasons.extend(reason.map(|why| (Side::Target, &comparison.target, why)));
        for (side, name, why) in &reasons {
            report.errors.push(NotCompared {
                kind: Uncompared::Table,
                name: Some((*name).clone()),
                side: *side,
                why: (*why).clone(),
            });
        }
        reasons.is_empty()
    });
    Ok(())
}

async fn rows(
    work: &Work<'_>,
    mut ends: Ends,
    request: &AloneRequest,
    pairing: &Pairing,
    report: &mut AloneReport,
) -> Result<(), Error> {
    let list = &pairing.comparisons;
    let (mut done, of) = (0, list.len());
    let before = ends.activity().await?;
    ends.let_go().await?;
    let compared = work.compare(list, |verdict| {
        done += 1;
        work.observer.notice(Notice::Compared { verdict, done, of });
    });
    let mut compared = compared.await?;
    // Where nothing was committed meanwhile there is nothing to wait for.
    let rests = before.is_some() && before == ends.activity().await?;
    if !rests && !request.settle.is_zero() {
        report.busy_rows = settling::settle(work, list, &mut compared, request.settle).await?;
    }
    ends.source.close().await;
    ends.target.close().await;
    for (table, fault) in compared.failed {
        let error = Error::Server(fault);
        let condition = request.chosen.condition.as_ref();
        let fault = match choice::refuse_condition(condition, error) {
            Error::Server(fault) => fault,
            refused => return Err(refused),
        };
        report.errors.push(NotCompared {
            kind: Uncompared::Table,
            name: Some(table),
            side: fault.side,
            why: fault.cause.to_string(),
        });
    }
    gather(report, compared.found.verdicts, compared.found.rows);
    Ok(())
}

/// Puts the verdicts into the report, with a row for every table that one side lacks.
fn gather(report: &mut AloneReport, verdicts: Vec<TableVerdict>, rows: Vec<RowDifference>) {
    report.rows = verdicts.iter().map(|verdict| verdict.source_rows).sum();
    let differs = |v: &&TableVerdict| !v.matched() && v.outcome != Outcome::Busy;
    report.differences = verdicts.iter().filter(differs).cloned().collect();
    report.row_differences = rows;
    report.tables = verdicts;
    for missing in &report.missing_tables {
        let verdict = TableVerdict {
            table: missing.table.clone(),
            outcome: match missing.on {
                Side::Source => Outcome::MissingOnSource,
                Side::Target => Outcome::MissingOnTarget,
            },
            source_rows: 0,
            target_rows: 0,
            differing: RowCounts::default(),
            seconds: 0.0,
        };
        report.tables.push(verdict.clone());
        report.differences.push(verdict);
    }
}
