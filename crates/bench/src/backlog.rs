//! What changes the source while nobody reads: the workloads of the apply bench.

use std::path::Path;

use trunkline_sandbox::Server;

use crate::Order;
use crate::data::pgbench;
use crate::error::BenchError;
use crate::servers::execute;

/// A table and what is done to it.
pub(crate) struct Backlog {
    pub(crate) name: &'static str,
    /// What it is, in a sentence, with numbers.
    pub(crate) what: String,
    /// Makes the tables.
    setup: Setup,
    /// Done once a turn; `{turn}` is its number.
    changes: Changes,
    /// How many changes of rows a turn makes.
    pub(crate) changed_rows: u64,
    /// Patterns of tables that are only inserted into.
    pub(crate) insert_only: &'static str,
}

enum Setup {
    Pgbench { scale: u64 },
    Sql(String),
}

enum Changes {
    /// pgbench's own transaction, or a script, so many times by each of four clients.
    Pgbench {
        script: Option<&'static str>,
        transactions: u64,
    },
    /// Statements, each a transaction.
    Sql(&'static str),
}

const CLIENTS: u64 = 4;
/// Transactions of a client in a trial.
const TRIAL: u64 = 250;

/// All workloads.
pub(crate) fn backlogs(order: &Order) -> Vec<Backlog> {
    let script = |script, full: u64| Changes::Pgbench {
        script: Some(script),
        transactions: order.sized(full / CLIENTS, TRIAL),
    };
    let rows = |full: u64, each: u64| order.sized(full, TRIAL * CLIENTS) * each;
    let deletes = include_str!("sql/backlog_deletes.sql")
        .replace("{rows}", &order.sized(1_000_000, 10_000).to_string())
        .replace("{turns}", &order.pairs.to_string());
    let backlog = |name, what: &str, changed_rows, setup, changes| Backlog {
        name,
        what: what.to_owned(),
        setup,
        changes,
        changed_rows,
        insert_only: "",
    };
    vec![
        Backlog {
            name: "pgbench",
            what: "200,000 transactions of pgbench (scale 20): 800,000 changes of rows.".to_owned(),
            setup: Setup::Pgbench {
                scale: order.sized(20, 1),
            },
            changes: Changes::Pgbench {
                script: None,
                transactions: order.sized(200_000 / CLIENTS, TRIAL),
            },
            changed_rows: rows(200_000, 4),
            insert_only: "public.pgbench_history",
        },
        backlog(
            "tables",
            "400,000 transactions, each an update and an insert in one of 200 tables.",
            rows(400_000, 2),
            Setup::Sql(include_str!("sql/backlog_tables.sql").to_owned()),
            script(include_str!("sql/backlog_tables.pgbench"), 400_000),
        ),
        backlog(
            "hot",
            "400,000 updates of three columns of one table with 100 columns and 1,000 rows.",
            rows(400_000, 1),
            Setup::Sql(include_str!("sql/backlog_hot.sql").to_owned()),
            script(include_str!("sql/backlog_hot.pgbench"), 400_000),
        ),
        backlog(
            "inserts",
            "100,000 transactions that insert ten rows each.",
            rows(100_000, 10),
            Setup::Sql(include_str!("sql/backlog_inserts.sql").to_owned()),
            script(include_str!("sql/backlog_inserts.pgbench"), 100_000),
        ),
        backlog(
            "deletes",
            "1,000,000 rows deleted by one statement.",
            order.sized(1_000_000, 10_000),
            Setup::Sql(deletes),
            Changes::Sql("DELETE FROM entries WHERE part = {turn}"),
        ),
        backlog(
            "full",
            "20,000 updates of a table of 2,000 rows with REPLICA IDENTITY FULL and no key.",
            rows(20_000, 1),
            Setup::Sql(include_str!("sql/backlog_full.sql").to_owned()),
            script(include_str!("sql/backlog_full.pgbench"), 20_000),
        ),
        backlog(
            "toast",
            "100,000 updates beside an out-of-line value of 20 kB, every tenth of the value itself.",
            rows(100_000, 1),
            Setup::Sql(include_str!("sql/backlog_toast.sql").to_owned()),
            script(include_str!("sql/backlog_toast.pgbench"), 100_000),
        ),
        backlog(
            "giant",
            "10,000,000 rows inserted by one transaction.",
            order.sized(10_000_000, 20_000),
            Setup::Sql("CREATE TABLE many (id bigint PRIMARY KEY, name text)".to_owned()),
            Changes::Sql(if order.size == crate::Size::Full {
                "INSERT INTO many SELECT {turn} * 100000000 + n, 'name ' || n \
                 FROM generate_series(1, 10000000) AS n"
            } else {
                "INSERT INTO many SELECT {turn} * 100000000 + n, 'name ' || n \
                 FROM generate_series(1, 20000) AS n"
            }),
        ),
    ]
}

impl Backlog {
    /// Makes the tables, and the one that markers are written to.
    pub(crate) async fn set_up(
        &self,
        order: &Order,
        server: &Server,
        database: &str,
    ) -> Result<(), BenchError> {
        match &self.setup {
            Setup::Pgbench { scale } => {
                let scale = format!("--scale={scale}");
                pgbench(
                    order,
                    server,
                    database,
                    &["--initialize", "--quiet", &scale],
                )
                .await?;
            }
            Setup::Sql(sql) => execute(server, database, sql).await?,
        }
        let marker = "CREATE TABLE marker (turn bigint PRIMARY KEY)";
        execute(server, database, marker).await?;
        execute(server, database, "VACUUM ANALYZE").await
    }

    /// Makes one turn's changes; the last of them is the turn's marker.
    pub(crate) async fn change(
        &self,
        order: &Order,
        server: &Server,
        database: &str,
        turn: u32,
    ) -> Result<(), BenchError> {
        match &self.changes {
            Changes::Sql(sql) => {
                let sql = sql.replace("{turn}", &turn.to_string());
                execute(server, database, &sql).await?;
            }
            Changes::Pgbench {
                script,
                transactions,
            } => {
                let clients = format!("--client={CLIENTS}");
                let transactions = format!("--transactions={transactions}");
                let folder = tempfile::tempdir()
                    .map_err(|cause| BenchError::file(&std::env::temp_dir(), cause))?;
                let file = written(*script, folder.path())?;
                let file = file.as_deref().map(|path| format!("--file={path}"));
                let mut arguments = vec!["--no-vacuum", &clients, &transactions];
                // A table's name in a script is put in as text.
                if script.is_none() {
                    arguments.push("--protocol=prepared");
                }
                arguments.extend(file.as_deref());
                pgbench(order, server, database, &arguments).await?;
            }
        }
        let marker = format!("INSERT INTO marker VALUES ({turn})");
        execute(server, database, &marker).await
    }
}

fn written(script: Option<&str>, folder: &Path) -> Result<Option<String>, BenchError> {
    let Some(script) = script else {
        return Ok(None);
    };
    let path = folder.join("script");
    std::fs::write(&path, script).map_err(|cause| BenchError::file(&path, cause))?;
    Ok(Some(path.display().to_string()))
}
