//! The copy of a whole database, by us, by pgcopydb, and by `pg_dump` with `pg_restore`.

use std::path::Path;

use tokio::process::Command;

use crate::Order;
use crate::contents::compare;
use crate::data::{self, Gin};
use crate::error::{BenchError, Doing};
use crate::measured::{Measured, measure};
use crate::record::{Bench, Workload};
use crate::servers::{Pair, empty_database, execute, session, uri};
use crate::turns::{Contestant, order as order_of};

const DATABASE: &str = "bench";
const COPY: &str = "copy";
/// Room for the tables of `many`, with those of their keys, in 200 connections' lock table.
const MANY_LOCKS: &str = "4096";

/// Who copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copier {
    Trunkline,
    Pgcopydb,
    DumpAndRestore,
    DumpIntoPsql,
}

impl Copier {
    fn name(self) -> &'static str {
        match self {
            Copier::Trunkline => "trunkline clone",
            Copier::Pgcopydb => "pgcopydb clone",
            Copier::DumpAndRestore => "pg_dump -Fd -j4, pg_restore -j4",
            Copier::DumpIntoPsql => "pg_dump \\| psql",
        }
    }

    fn command(self, order: &Order, pair: &Pair, folder: &Path) -> Command {
        let (from, to) = (uri(&pair.source, DATABASE), uri(&pair.target, COPY));
        let shown = folder.display();
        match self {
            Copier::Trunkline => {
                let mut command = order.tools.trunkline(folder);
                command.args(["clone", "--source", &from, "--target", &to]);
                command
            }
            Copier::Pgcopydb => {
                let mut command = order.tools.shell(&format!(
                    "exec pgcopydb clone --dir '{shown}/pgcopydb' --table-jobs 4 --index-jobs 4"
                ));
                command
                    .env("PGCOPYDB_SOURCE_PGURI", from)
                    .env("PGCOPYDB_TARGET_PGURI", to);
                command
            }
            Copier::DumpAndRestore => order.tools.shell(&format!(
                "pg_dump -Fd -j4 -Z0 -f '{shown}/dump' '{from}' && \
                 pg_restore -j4 -d '{to}' '{shown}/dump'"
            )),
            Copier::DumpIntoPsql => order
                .tools
                .shell(&format!("pg_dump '{from}' | psql -qX -o /dev/null '{to}'")),
        }
    }
}

/// Runs the bench.
pub(crate) async fn run(order: &Order) -> Result<Bench, BenchError> {
    let mut bench = Bench::new(order).await;
    let whole = [Copier::Trunkline, Copier::Pgcopydb, Copier::DumpAndRestore];
    for (name, what, gin) in [
        (
            "rows",
            "About 1.6 GB: pgbench at scale 60, 3,000,000 events with jsonb and three b-tree \
             indexes, 20,000 documents of 9.6 kB; structure, indexes and all.",
            Gin::Without,
        ),
        (
            "gin",
            "The same with a GIN index on the events' jsonb.",
            Gin::With,
        ),
    ] {
        if order.wants(name) {
            let pair = Pair::start()?;
            empty_database(&pair.source, DATABASE).await?;
            data::mixed(order, &pair.source, DATABASE, gin).await?;
            let workload = in_turn(order, &pair, name, what, &whole).await?;
            bench.add(order, workload)?;
        }
    }
    if order.wants("one-table") {
        let pair = Pair::start()?;
        empty_database(&pair.source, DATABASE).await?;
        data::one_table(order, &pair.source, DATABASE).await?;
        let what = "One table of about 5 GB with its key.";
        let copiers = [Copier::Trunkline, Copier::DumpIntoPsql];
        let workload = in_turn(order, &pair, "one-table", what, &copiers).await?;
        bench.add(order, workload)?;
    }
    if order.wants("many") {
        bench.add(order, many(order).await?)?;
    }
    Ok(bench)
}

/// Many small tables: how long their catalog is read, and the whole clone.
async fn many(order: &Order) -> Result<Workload, BenchError> {
    // `pg_dump` locks every table at once, also for the structure alone; so many do not fit a
    // default lock table.
    let pair = Pair::start_with(&[("max_locks_per_transaction", MANY_LOCKS)])?;
    empty_database(&pair.source, DATABASE).await?;
    data::many_tables(order, &pair.source, DATABASE).await?;
    let what = format!(
        "{} tables with a key and five rows each; max_locks_per_transaction = {MANY_LOCKS}.",
        order.tables
    );
    let copiers = [Copier::Trunkline, Copier::DumpAndRestore];
    let mut workload = in_turn(order, &pair, "many", &what, &copiers).await?;
    empty_database(&pair.target, COPY).await?;
    let folder =
        tempfile::tempdir().map_err(|cause| BenchError::file(&std::env::temp_dir(), cause))?;
    let (from, to) = (uri(&pair.source, DATABASE), uri(&pair.target, COPY));
    let mut plan = order.tools.trunkline(folder.path());
    plan.args(["plan", "--source", &from, "--target", &to]);
    let mut dump = order
        .tools
        .shell(&format!("exec pg_dump -s -f /dev/null '{from}'"));
    for (what, command) in [
        ("trunkline plan: the catalog read", &mut plan),
        ("pg_dump -s: the structure written", &mut dump),
    ] {
        let measured = measure(&pair, command).await?;
        let figure = format!(
            "{:.1} s, {:.1} s of CPU its own",
            measured.seconds, measured.client_cpu_seconds
        );
        workload.figures.push((what.to_owned(), figure));
    }
    Ok(workload)
}

async fn in_turn(
    order: &Order,
    pair: &Pair,
    name: &str,
    what: &str,
    copiers: &[Copier],
) -> Result<Workload, BenchError> {
    let there: Vec<Copier> = copiers
        .iter()
        .copied()
        .filter(|copier| *copier != Copier::Pgcopydb || order.tools.pgcopydb.is_some())
        .collect();
    let mut contestants: Vec<Contestant> = there
        .iter()
        .map(|copier| Contestant::new(copier.name()))
        .collect();
    // Whoever is first meets memory and files that the servers never touched: nobody's run.
    if let Some(last) = there.last() {
        copied(order, pair, *last).await?;
    }
    for turn in 0..order.pairs {
        for at in order_of(turn, there.len()) {
            let measured = copied(order, pair, there[at]).await?;
            compare(pair, there[at].name(), DATABASE, COPY, None).await?;
            eprintln!("{name}: {} {:.2} s", there[at].name(), measured.seconds);
            contestants[at].runs.push(measured);
        }
    }
    let absent = copiers.len() - there.len();
    let what = if absent > 0 {
        format!("{what} pgcopydb is not installed here.")
    } else {
        what.to_owned()
    };
    Ok(Workload {
        name: name.to_owned(),
        what,
        contestants,
        figures: Vec::new(),
    }
    .costing(gigabytes(pair).await?, "a GB of tables"))
}

/// One copy into an empty database.
async fn copied(order: &Order, pair: &Pair, copier: Copier) -> Result<Measured, BenchError> {
    empty_database(&pair.target, COPY).await?;
    execute(&pair.source, DATABASE, "CHECKPOINT").await?;
    let folder =
        tempfile::tempdir().map_err(|cause| BenchError::file(&std::env::temp_dir(), cause))?;
    measure(pair, &mut copier.command(order, pair, folder.path())).await
}

/// The size of the source's tables on disk, without indexes, in 10^9 bytes.
async fn gigabytes(pair: &Pair) -> Result<f64, BenchError> {
    let client = session(&pair.source, DATABASE).await?;
    let sql = include_str!("sql/table_bytes.sql");
    let row = client.query_one(sql, &[]).await.doing(sql)?;
    Ok(row.get::<_, f64>(0) / 1e9)
}
