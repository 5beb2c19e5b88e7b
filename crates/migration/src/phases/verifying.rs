//! Following → Verified: both sides compared at one position while writers run.
//!
//! Needs: a free replication slot for the time of the comparison, and a follower. Does:
//! makes a temporary slot, whose exported snapshot holds exactly the transactions whose
//! commit begins before its consistent point; applies exactly those and exports the target's
//! snapshot; compares the two while changes flow on. Looks: always does it anew. Undone: the
//! slot and the snapshots go with their sessions.

pub(crate) mod coverage;
mod scope;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;

use smol_str::SmolStr;
use trunkline_changes::{Lsn, Pool, Side, TableName};
use trunkline_load::{Lineage, Table};
use trunkline_postgres::{
    CreatedSlot, OnSide, ReplicationSession, Session, SlotLife, SnapshotAction,
};
use trunkline_verify::{Choice, Comparer, Comparison, Found, Outcome, Reading, TableVerdict};

use crate::choice::{self, Chosen};
use crate::error::Error;
use crate::follow::{Follow, Goal, Reached};
use crate::limits::{CANCEL_WITHIN, COMPARE_AGAIN};
use crate::observer::Notice;
use crate::phases::prepare;
use crate::plan::Plan;
use crate::report::{SCHEMA_VERSION, VerifyReport};
use crate::run::{Run, Tables, is_streamed};
use crate::validation;
use crate::way::Way;

/// Which tables are compared.
pub(crate) enum Selection<'a> {
    /// All of them: the result counts for the cutover.
    All,
    /// Some tables or rows: the result is shown only.
    Chosen(&'a Chosen),
    /// Those of these names, on the side that changes go to: the result is shown only.
    Targets(&'a BTreeSet<TableName>),
}

/// The comparisons for the tables of a migration, the largest first.
pub(crate) fn comparisons(
    plan: &Plan,
    standing: &Tables,
    selection: &Selection<'_>,
) -> Vec<Comparison> {
    let Tables {
        moving: tables,
        places,
        partitioned,
        ..
    } = standing;
    let mut by_target: BTreeMap<&TableName, Comparison> = BTreeMap::new();
    let lineage = Lineage::of(tables);
    let mut lists = Pool::default();
    for table in tables.iter().filter(|table| is_streamed(table)) {
        let Some(place) = places.get(&table.name) else {
            continue;
        };
        let is_selected = match selection {
            Selection::All => true,
            Selection::Chosen(chosen) => scope::is_chosen(chosen, &lineage, &table.name),
            Selection::Targets(names) => names.contains(place),
        };
        if !is_selected || plan.validation.leaves_out(standing.on_source(&table.name)) {
            continue;
        }
        let comparison = by_target.entry(place).or_insert_with(|| Comparison {
            target: place.clone(),
            target_reading: if partitioned.contains(place) {
                Reading::WithPartitions
            } else {
                Reading::Only
            },
            sources: Vec::new(),
            source_reading: Reading::Only,
            columns: lists.share(column_names(plan, standing, table)),
            names: standing.columns(&table.name),
            moved: standing.moved(&table.name).map(str::to_owned),
            choice: Choice::default(),
            bytes: 0,
            part_bytes: plan.validation.part_bytes,
        });
        comparison.bytes += table.bytes();
        comparison.sources.push(table.name.clone());
    }
    let mut all: Vec<Comparison> = by_target.into_values().collect();
    all.sort_by_key(|comparison| std::cmp::Reverse(comparison.bytes));
    if let Selection::Chosen(chosen) = selection {
        chosen.narrow(&mut all);
    }
    all
}

/// Every column, generated ones too, by name, so that the order of either side is no matter.
fn column_names(plan: &Plan, standing: &Tables, table: &Table) -> Vec<SmolStr> {
    let names = standing.columns(&table.name);
    let of = standing.on_source(&table.name);
    let compared = |column: &&str| {
        // A plan speaks of the source's columns.
        let name = if of == &table.name {
            Some(*column)
        } else {
            names.there(column)
        };
        let is_left_out = |name| plan.validation.leaves_out_column(of, name);
        names.there(column).is_some() && !name.is_some_and(is_left_out)
    };
    let columns = table
        .shape
        .columns
        .iter()
        .map(|column| column.name.as_str());
    let mut names: Vec<SmolStr> = columns.filter(compared).map(SmolStr::from).collect();
    names.sort();
    names
}

/// Both sides read under snapshots of one position.
pub(crate) struct PairedSnapshots {
    pub(crate) point: Lsn,
    applied: Lsn,
    pub(crate) comparer: Comparer,
}

/// Refuses when a table in scope is not among those that are copied and followed.
pub(crate) async fn refuse_gaps(run: &mut Run<'_>, follow: &mut Follow) -> Result<Tables, Error> {
    let leg = follow.leg().clone();
    let standing = run.tables_and_places(leg.way).await?;
    if leg.way == Way::There {
        run.plan.validation.refuse_unmatched(&standing.moving)?;
    }
    coverage::refuse_gaps(run, &leg, follow.from(), &standing).await?;
    coverage::refuse_beside(run, leg.way, &standing).await?;
    Ok(standing)
}

/// Compares, records what was found, and goes on following meanwhile.
pub(crate) async fn verify(
    run: &mut Run<'_>,
    follow: &mut Follow,
    selection: &Selection<'_>,
) -> Result<VerifyReport, Error> {
    let began = Instant::now();
    run.step("comparing both sides");
    let leg = follow.leg().clone();
    let standing = refuse_gaps(run, follow).await?;
    let list = comparisons(run.plan, &standing, selection);
    if let Selection::Chosen(chosen) = selection {
        scope::refuse_nothing(run.plan, &standing, chosen, &list)?;
        let roots = scope::roots(&list, &standing.moving);
        choice::refuse_unusable(run.plan, chosen, &roots, &list, leg.way.from()).await?;
    }
    let paired = pair_snapshots(run, follow, &[]).await?;
    let (point, applied) = (paired.point, paired.applied);
    let mut found = compare_while_following(run, follow, paired, list.clone()).await?;
    settle(run, follow, &list, &mut found).await?;
    let mut report = report(run, point, applied, found, began);
    scope::say_what_is_left_out(&mut report, &standing, selection);
    if !matches!(selection, Selection::Chosen(_)) {
        validation::settled(run, leg.number, &report).await?;
    }
    if matches!(selection, Selection::All) && leg.way == Way::There {
        run.control.moved(report.event()).await?;
    }
    Ok(report)
}

/// Compares again the tables that were emptied while they were compared, at a later
/// position, and keeps them from being emptied meanwhile. What stays disturbed is not equal.
async fn settle(
    run: &mut Run<'_>,
    follow: &mut Follow,
    list: &[Comparison],
    found: &mut Found,
) -> Result<(), Error> {
    for _ in 0..COMPARE_AGAIN {
        let verdicts = found.verdicts.iter();
        let disturbed = verdicts.filter(|verdict| verdict.outcome == Outcome::Disturbed);
        let disturbed: HashSet<&TableName> = disturbed.map(|verdict| &verdict.table).collect();
        let left = list.iter().filter(|one| disturbed.contains(&one.target));
        let left: Vec<Comparison> = left.cloned().collect();
        if left.is_empty() {
            return Ok(());
        }
        run.step("comparing again what was emptied meanwhile");
        let paired = pair_snapshots(run, follow, &left).await?;
        let again = compare_while_following(run, follow, paired, left).await?;
        for again in again.verdicts {
            let mut verdicts = found.verdicts.iter_mut();
            if let Some(verdict) = verdicts.find(|v| v.table == again.table) {
                *verdict = again;
            }
        }
        found.rows.extend(again.rows);
    }
    Ok(())
}

/// Applies changes up to the consistent point of a temporary slot, and takes the snapshots
/// of both sides there. From there on the tables named are not emptied.
pub(crate) async fn pair_snapshots(
    run: &mut Run<'_>,
    follow: &mut Follow,
    kept: &[Comparison],
) -> Result<PairedSnapshots, Error> {
    follow
        .until(run, Goal::Near(run.plan.cutover.max_lag_bytes))
        .await?;
    let doing = "taking a snapshot at one position";
    let way = follow.leg().way;
    let (from, to) = (way.from(), way.to());
    let jobs = if kept.is_empty() {
        run.plan.copy.jobs
    } else {
        1
    };
    let mut comparer = connect_comparer(run, way, jobs).await?;
    let mut walsender = ReplicationSession::connect(run.plan.read_from(from), "snapshot")
        .await
        .on(from, doing)?;
    // From here on nothing passes the point that the slot will have.
    follow.hold_still(run).await?;
    let slot = temporary_slot(run, follow, &mut walsender).await?;
    let sources: Vec<TableName> = kept.iter().flat_map(|c| c.sources.clone()).collect();
    comparer
        .enter_side(from, slot.snapshot.as_deref(), &sources)
        .await?;
    walsender.close().await;
    emit(follow.from(), from, "verify").await?;
    follow
        .until(run, Goal::Before(slot.consistent_point))
        .await?;
    let applied = follow.applied();
    let mut exporter = run.connect(to, "snapshot").await?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    exporter.batch(begin).await.on(to, doing)?;
    let exported = exporter
        .query_one("SELECT pg_catalog.pg_export_snapshot()", &[])
        .await;
    let target_snapshot: String = exported.and_then(|row| row.get(0)).on(to, doing)?;
    // Nothing is applied until the comparison begins: nothing is emptied in between.
    let targets: Vec<TableName> = kept.iter().map(|c| c.target.clone()).collect();
    comparer
        .enter_side(to, Some(&target_snapshot), &targets)
        .await?;
    exporter.close().await;
    Ok(PairedSnapshots {
        point: slot.consistent_point,
        applied,
        comparer,
    })
}

/// Makes the slot whose snapshot is read; says who is waited for while it waits.
async fn temporary_slot(
    run: &Run<'_>,
    follow: &mut Follow,
    walsender: &mut ReplicationSession,
) -> Result<CreatedSlot, Error> {
    let doing = "making a temporary slot for the comparison";
    let side = follow.leg().way.from();
    let name = format!("{}_v", follow.leg().slot.name);
    let canceller = walsender.canceller();
    let (life, snapshot) = (SlotLife::Temporary, SnapshotAction::Export);
    let plugin = follow.leg().slot.plugin.clone();
    let creation = walsender.create_slot(&name, &plugin, life, snapshot);
    let creation = async { creation.await.on(side, doing).map_err(Error::from) };
    prepare::patiently(run, follow.from(), side, &canceller, creation).await
}

/// Sessions of both sides for a comparison.
pub(crate) async fn connect_comparer(
    run: &Run<'_>,
    way: Way,
    jobs: usize,
) -> Result<Comparer, Error> {
    let (from, to) = (way.from(), way.to());
    let (read, written) = (run.plan.read_from(from), run.plan.server(to));
    Ok(Comparer::connect((from, read), (to, written), jobs).await?)
}

/// Writes a message into a server's log, in a transaction of its own; gives a position that
/// its commit lies after.
pub(crate) async fn emit(session: &mut Session, side: Side, content: &str) -> Result<Lsn, Error> {
    let doing = "writing a marker into the log";
    let row = session
        .query_one(
            "SELECT pg_catalog.pg_logical_emit_message(true, 'trunkline', $1::text)",
            &[&content],
        )
        .await
        .on(side, doing)?;
    Ok(row.get(0).on(side, doing)?)
}

async fn compare_while_following(
    run: &mut Run<'_>,
    follow: &mut Follow,
    mut paired: PairedSnapshots,
    list: Vec<Comparison>,
) -> Result<Found, Error> {
    let observer = run.observer;
    let of = list.len();
    let told = follow.told_anew();
    let running = paired.comparer.cancellers();
    let comparing = async move {
        let mut done = 0;
        let compared = paired
            .comparer
            .compare(list, |verdict| {
                done += 1;
                observer.notice(Notice::Compared { verdict, done, of });
            })
            .await;
        paired.comparer.close().await;
        told.cancel();
        compared
    };
    let following = async {
        // Ends when it is told that the comparison has, or with an error that ends both.
        follow
            .until(run, Goal::Told)
            .await
            .map(|reached: Reached| reached)
    };
    tokio::pin!(comparing, following);
    let found = tokio::select! {
        found = &mut comparing => found,
        Err(error) = &mut following => {
            // A server does not notice that nobody waits for a checksum any more.
            for canceller in running {
                let _unheard = tokio::time::timeout(CANCEL_WITHIN, canceller.cancel()).await;
            }
            return Err(error);
        }
    };
    following.await?;
    Ok(found?)
}

fn report(run: &Run<'_>, point: Lsn, applied: Lsn, found: Found, began: Instant) -> VerifyReport {
    let Found { verdicts, rows } = found;
    let differences: Vec<TableVerdict> = verdicts
        .iter()
        .filter(|verdict| !verdict.matched())
        .cloned()
        .collect();
    VerifyReport {
        schema_version: SCHEMA_VERSION,
        migration: run.control.identity().name.clone(),
        equal: differences.is_empty(),
        barrier_lsn: point,
        applied_lsn: applied,
        rows: verdicts.iter().map(|verdict| verdict.source_rows).sum(),
        tables: verdicts,
        differences,
        row_differences: rows,
        mended: None,
        scripted: None,
        partial: false,
        at_cutover: Vec::new(),
        not_compared: run.plan.validation.not_compared(),
        seconds: began.elapsed().as_secs_f64(),
    }
}
