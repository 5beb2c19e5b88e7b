//! Rows that differ, mended on the target or written down as a script. Holds always: both
//! sides are looked at in states of one position, and nothing of the stream is applied until
//! the mending is committed, so that what the stream is about to change is changed by the
//! stream alone.

use std::collections::BTreeSet;
use std::io::Write;

use trunkline_changes::{Lsn, Side, TableName};
use trunkline_postgres::Session;
use trunkline_verify::{
    Comparer, RepairError, RepairTables, Repaired, RowDifference, repair, write_script,
};

use super::verifying::{self, PairedSnapshots, Selection, comparisons, pair_snapshots};
use crate::error::Error;
use crate::follow::Follow;
use crate::limits::MEND_AGAIN;
use crate::phase::Event;
use crate::report::VerifyReport;
use crate::run::Run;
use crate::way::Way;

/// What becomes of rows that differ.
pub enum Mending<'a> {
    /// They are only named.
    None,
    /// Statements that mend the target are written here.
    Script(&'a mut (dyn Write + Send)),
    /// The target is mended, and compared again.
    Apply,
}

/// Mends what a comparison found; gives the report as it is then.
pub(crate) async fn mend(
    run: &mut Run<'_>,
    follow: &mut Follow,
    report: VerifyReport,
    mending: &mut Mending<'_>,
    is_all: bool,
) -> Result<VerifyReport, Error> {
    if follow.leg().way == Way::Back {
        return Err(Error::Refused {
            why: "the target serves: the source is the copy now, and nothing mends the side that \
                  serves"
                .to_owned(),
            hint: "run it without mending to see the differences".to_owned(),
        });
    }
    let mut report = report;
    match mending {
        Mending::None => {}
        Mending::Script(out) => {
            report.scripted = Some(script(run, follow, &report, *out).await?);
        }
        Mending::Apply => {
            for _ in 0..MEND_AGAIN {
                let before = report.differences.len();
                if before == 0 {
                    break;
                }
                let mended = apply(run, follow, &report).await?;
                let names = different(&report);
                let again = verifying::verify(run, follow, &Selection::Targets(&names)).await?;
                report = report.with(again);
                report.mended = Some(report.mended.unwrap_or(0) + mended.mended);
                if mended.mended == 0 {
                    break;
                }
            }
            if is_all && report.equal {
                let at = report.barrier_lsn;
                run.control.moved(Event::FoundEqual { at }).await?;
            }
        }
    }
    Ok(report)
}

fn different(report: &VerifyReport) -> BTreeSet<TableName> {
    let tables = report.differences.iter();
    tables.map(|verdict| verdict.table.clone()).collect()
}

/// The rows that differ, seen at one position, and what is needed to mend them. Nothing is
/// applied while it lives.
struct Seen {
    point: Lsn,
    comparer: Comparer,
    rows: Vec<RowDifference>,
    target: Session,
    tables: RepairTables,
}

/// Compares the tables that differ once more, without following meanwhile.
async fn see(run: &mut Run<'_>, follow: &mut Follow, report: &VerifyReport) -> Result<Seen, Error> {
    let names = different(report);
    let way = follow.leg().way;
    let standing = run.tables_and_places(way).await?;
    let list = comparisons(run.plan, &standing, &Selection::Targets(&names));
    if let Some(other) = list
        .iter()
        .find(|c| !c.names.is_same() || c.moved.is_some())
    {
        return Err(Error::Refused {
            why: format!(
                "{} is not mended: its columns or rows are not all those of the source",
                other.target
            ),
            hint: "mend its rows by hand; `trunkline verify` names them".to_owned(),
        });
    }
    let PairedSnapshots {
        point,
        mut comparer,
        ..
    } = pair_snapshots(run, follow, &[]).await?;
    let found = comparer.compare(list.clone(), |_| {}).await?;
    if let Some(table) = comparer.hold(&list).await? {
        return Err(Error::Refused {
            why: format!("{table} was rewritten while its rows were looked for"),
            hint: "nothing was mended in this round: run it again".to_owned(),
        });
    }
    let mut target = run.connect(Side::Target, "mend").await?;
    let tables: Vec<TableName> = names.into_iter().collect();
    let tables = RepairTables::read(&mut target, &tables).await?;
    Ok(Seen {
        point,
        comparer,
        rows: found.rows,
        target,
        tables,
    })
}

/// Mends the tables that differ.
async fn apply(
    run: &mut Run<'_>,
    follow: &mut Follow,
    report: &VerifyReport,
) -> Result<Repaired, Error> {
    run.step("mending the rows that differ");
    let mut seen = see(run, follow, report).await?;
    let mut mended = Repaired::default();
    if let Some(source) = seen.comparer.reader() {
        let repaired = repair(source, &mut seen.target, &seen.tables, &seen.rows).await;
        mended = repaired.map_err(refused)?;
    }
    seen.close().await;
    Ok(mended)
}

/// Writes statements that mend the tables that differ; gives how many rows they mend.
async fn script(
    run: &mut Run<'_>,
    follow: &mut Follow,
    report: &VerifyReport,
    out: &mut (dyn Write + Send),
) -> Result<u64, Error> {
    run.step("writing what mends the rows that differ");
    let mut seen = see(run, follow, report).await?;
    let heading = format!(
        "Mends the target of the migration {} as the source was at {}.\n\
         Each statement takes effect only while its row is as it was seen.",
        run.control.identity().name,
        seen.point
    );
    let mut written = 0;
    if let Some(source) = seen.comparer.reader() {
        let (target, tables) = (&mut seen.target, &seen.tables);
        let script = write_script(source, target, tables, &seen.rows, &heading, out).await;
        written = script.map_err(refused)?;
    }
    seen.close().await;
    Ok(written)
}

impl Seen {
    async fn close(self) {
        self.comparer.close().await;
        self.target.close().await;
    }
}

fn refused(error: RepairError) -> Error {
    match error {
        RepairError::Fault(fault) => Error::Server(fault),
        RepairError::Script(cause) => Error::File {
            path: "the script".to_owned(),
            cause,
        },
        other => Error::Refused {
            why: other.to_string(),
            hint: "what was mended before stays; `trunkline verify` says what is left".to_owned(),
        },
    }
}
