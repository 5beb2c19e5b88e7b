//! Any two databases compared as they are, without a migration: tables down to the row,
//! structure, sequences, large objects. Holds always: nothing is written on either side, no
//! slot is made, and what could not be read is said and never taken for equal.

mod comparing;
mod contents;
pub(crate) mod large_objects;
mod pairing;
mod report;
mod rights;
mod sequences;
mod settling;

use std::time::{Duration, Instant};

use trunkline_changes::{Side, TableName};
use trunkline_load::{Scope, Table};
use trunkline_postgres::{Backoff, OnSide, Session};
use trunkline_verify::{SchemaDescription, SchemaDifference, schema_differences};

pub use report::{
    AloneReport, ColumnLeftOut, LargeObjectDifference, LargeObjectsReport, MissingTable,
    NotCompared, SequenceOutcome, SequencePosition, SequenceReport, Uncompared,
};

use crate::choice::{self, Chosen};
use crate::commands::{Setting, reopening};
use crate::error::Error;
use crate::limits::{COMPARED_AGAIN, RECONNECT_FIRST, RECONNECT_PAUSE};
use crate::observer::Notice;
use crate::plan::Plan;
use crate::report::SCHEMA_VERSION;
use comparing::Work;

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

    /// A database is always equal to itself: that proves nothing, and was not meant.
    async fn refuse_same(&mut self, plan: &Plan) -> Result<(), Error> {
        let doing = "looking whether the two are one";
        let sql = "SELECT pg_postmaster_start_time()::text || ' ' || oid::text \
                   FROM pg_database WHERE datname = current_database()";
        let one = self.source.query_one(sql, &[]).await;
        let one: String = one.and_then(|row| row.get(0)).on(Side::Source, doing)?;
        let other = self.target.query_one(sql, &[]).await;
        let other: String = other.and_then(|row| row.get(0)).on(Side::Target, doing)?;
        if one != other {
            return Ok(());
        }
        Err(Error::Plan {
            why: format!(
                "source and target are the same database, {}",
                plan.source.label()
            ),
            hint: "check --source and --target (or TRUNKLINE_SOURCE and TRUNKLINE_TARGET)"
                .to_owned(),
        })
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
    let (ends, listed, schema_differences) = look(work, request).await?;
    let mut report = AloneReport {
        schema_version: SCHEMA_VERSION,
        equal: false,
        partial: !request.chosen.is_everything() || leaves_out(work.plan),
        schema_differences,
        ..AloneReport::default()
    };
    if request.parts != Parts::Structure {
        contents::compare(work, ends, request, &listed, &mut report).await?;
    }
    report.equal = !report.differs() && report.errors.is_empty();
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

/// Both sides open, the tables that are compared, and how the structures differ. A standby
/// cancels what its replay would wait for: then all of it is read again, a few times.
async fn look(
    work: &Work<'_>,
    request: &AloneRequest,
) -> Result<(Ends, Listed, Vec<SchemaDifference>), Error> {
    let mut pauses = Backoff::new(RECONNECT_FIRST, RECONNECT_PAUSE, COMPARED_AGAIN);
    // What never worked is an error at once.
    let mut opened = Some(Ends::open(work).await?);
    loop {
        let looked = async {
            let mut ends = match opened.take() {
                Some(ends) => ends,
                None => Ends::open(work).await?,
            };
            ends.refuse_same(work.plan).await?;
            let (listed, differences) = look_once(work, request, &mut ends).await?;
            Ok((ends, listed, differences))
        };
        let error: Error = match looked.await {
            Ok(looked) => return Ok(looked),
            Err(error) => error,
        };
        let Some(wait) = pauses.next().filter(|_| error.may_retry()) else {
            return Err(error);
        };
        let why = error.to_string();
        tracing::warn!(why, "reading the structure again");
        work.observer.notice(Notice::Retry { why: &why, wait });
        tokio::time::sleep(wait).await;
    }
}

async fn look_once(
    work: &Work<'_>,
    request: &AloneRequest,
    ends: &mut Ends,
) -> Result<(Listed, Vec<SchemaDifference>), Error> {
    let listed = list(work.plan, ends, &request.chosen).await?;
    if request.parts == Parts::Contents {
        return Ok((listed, Vec::new()));
    }
    work.observer
        .notice(Notice::Step("comparing the structure"));
    let some = request.chosen.tables.is_some() || leaves_out(work.plan);
    let names = some.then(|| listed.names());
    let differences = structure(ends, names.as_deref()).await?;
    Ok((listed, differences))
}

/// Whether the plan leaves tables or columns out.
fn leaves_out(plan: &Plan) -> bool {
    let validation = &plan.validation;
    !plan.scope.is_everything()
        || validation.left_out.is_some()
        || !validation.columns_left_out.is_empty()
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
    for tables in [&mut source, &mut target] {
        tables.retain(|table| !plan.validation.leaves_out(&table.name));
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

/// How the structures differ, of some tables or as a whole.
async fn structure(
    ends: &mut Ends,
    names: Option<&[TableName]>,
) -> Result<Vec<SchemaDifference>, Error> {
    let doing = "reading the structure";
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
