//! Rows, sequences and large objects of two databases. What our role may not read is left out
//! beforehand, and said.

use trunkline_changes::{Side, TableName};
use trunkline_load::Unowned;
use trunkline_verify::{Outcome, RowCounts, RowDifference, TableVerdict};

use super::comparing::Work;
use super::pairing::{self, Pairing};
use super::report::{AloneReport, NotCompared, Uncompared};
use super::{AloneRequest, Ends, Listed, large_objects, rights, sequences, settling};
use crate::choice;
use crate::error::Error;
use crate::observer::Notice;

/// Rows, sequences and large objects.
pub(super) async fn compare(
    work: &Work<'_>,
    mut ends: Ends,
    request: &AloneRequest,
    listed: &Listed,
    report: &mut AloneReport,
) -> Result<(), Error> {
    let mut pairing = pairing::pair(&listed.source, &listed.target);
    let missing = pairing.missing.iter().map(|missing| missing.table.clone());
    pairing.roots.extend(missing);
    report.missing_tables = std::mem::take(&mut pairing.missing);
    report.columns_left_out = std::mem::take(&mut pairing.columns);
    keep_readable(&mut ends, &mut pairing, report).await?;
    for comparison in &mut pairing.comparisons {
        let (table, validation) = (&comparison.sources[0], &work.plan.validation);
        let columns = comparison.columns.iter();
        let kept = columns.filter(|&column| !validation.leaves_out_column(table, column));
        comparison.columns = kept.cloned().collect();
        comparison.part_bytes = validation.part_bytes;
    }
    request.chosen.narrow(&mut pairing.comparisons);
    let (roots, list) = (&pairing.roots, &pairing.comparisons);
    choice::refuse_unusable(work.plan, &request.chosen, roots, list, Side::Source).await?;
    let (source, target) = (&mut ends.source, &mut ends.target);
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
        // A table may be heard of again.
        done = (done + 1).min(of);
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
