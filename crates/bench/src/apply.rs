//! A backlog of changes, drained by us and by a native subscription; and how long a commit
//! takes to be seen on the other side at a steady rate.
//!
//! Both read the same backlog, each from a slot of its own, into a database of its own.

use std::fs;
use std::path::Path;
use std::time::Instant;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_postgres::Client;

use crate::Order;
use crate::backlog::{Backlog, backlogs};
use crate::contents::{compare, tables};
use crate::error::{BenchError, Doing};
use crate::limits::{DRAIN_WITHIN, LOOK_EVERY, POLL_EVERY, READY_WITHIN};
use crate::measured::{Measured, ServersCpu};
use crate::processes::{cpu_seconds, memory_bytes};
use crate::record::{Bench, Workload};
use crate::servers::{Pair, empty_database, execute, session, uri};
use crate::steady;
use crate::turns::{Contestant, order as order_of};

pub(crate) const DATABASE: &str = "bench";
/// Who follows; each into a database of its name.
pub(crate) const FOLLOWERS: [Follower; 2] = [Follower::Trunkline, Follower::Native];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follower {
    Trunkline,
    Native,
}

impl Follower {
    pub(crate) fn database(self) -> &'static str {
        match self {
            Follower::Trunkline => "ours",
            Follower::Native => "native",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Follower::Trunkline => "trunkline run",
            Follower::Native => "native subscription",
        }
    }
}

/// Both followers, ready: rows are there, and nobody reads.
pub(crate) struct Followers {
    pub(crate) pair: Pair,
    folder: TempDir,
}

/// Runs the bench.
pub(crate) async fn run(order: &Order) -> Result<Bench, BenchError> {
    let mut bench = Bench::new(order).await;
    for backlog in backlogs(order) {
        if order.wants(backlog.name) {
            bench.add(order, drained(order, &backlog).await?)?;
        }
    }
    if order.wants("steady") {
        bench.add(order, steady::run(order).await?)?;
    }
    Ok(bench)
}

impl Followers {
    /// Two servers, a source with a backlog's tables, and both followers caught up with it.
    pub(crate) async fn prepare(order: &Order, backlog: &Backlog) -> Result<Self, BenchError> {
        let pair = Pair::start()?;
        empty_database(&pair.source, DATABASE).await?;
        for follower in FOLLOWERS {
            empty_database(&pair.target, follower.database()).await?;
        }
        backlog.set_up(order, &pair.source, DATABASE).await?;
        let folder =
            tempfile::tempdir().map_err(|cause| BenchError::file(&std::env::temp_dir(), cause))?;
        let followers = Followers { pair, folder };
        followers.subscribe(order).await?;
        followers.begin(order, backlog.insert_only).await?;
        Ok(followers)
    }

    /// Makes the subscription, waits for its copy, and lets it rest.
    async fn subscribe(&self, order: &Order) -> Result<(), BenchError> {
        let (from, to) = (
            uri(&self.pair.source, DATABASE),
            uri(&self.pair.target, Follower::Native.database()),
        );
        let line = format!("pg_dump -s '{from}' | psql -qX -o /dev/null '{to}'");
        crate::measured::measure(&self.pair, &mut order.tools.shell(&line)).await?;
        let publication = "CREATE PUBLICATION native FOR ALL TABLES";
        execute(&self.pair.source, DATABASE, publication).await?;
        let client = session(&self.pair.target, Follower::Native.database()).await?;
        let sql = format!(
            "CREATE SUBSCRIPTION native CONNECTION '{from}' PUBLICATION native \
             WITH (binary, streaming)"
        );
        client.batch_execute(&sql).await.doing("subscribing")?;
        let unready = "SELECT count(*) = 0 FROM pg_subscription_rel WHERE srsubstate <> 'r'";
        holds(&client, unready, "the subscription's copy").await?;
        let sql = "ALTER SUBSCRIPTION native DISABLE";
        client.batch_execute(sql).await.doing(sql)
    }

    /// Copies the rows with Trunkline, and compares them.
    async fn begin(&self, order: &Order, insert_only: &str) -> Result<(), BenchError> {
        let plan = self.folder.path().join("trunkline.toml");
        let mut text = "[validation]\ncontinuous = false\n".to_owned();
        if !insert_only.is_empty() {
            text.push_str("[tables]\ninsert_only = [\"");
            text.push_str(insert_only);
            text.push_str("\"]\n");
        }
        fs::write(&plan, text).map_err(|cause| BenchError::file(&plan, cause))?;
        let mut command = self.trunkline(order);
        command.args(["--until", "verified"]);
        crate::measured::measure(&self.pair, &mut command).await?;
        Ok(())
    }

    fn trunkline(&self, order: &Order) -> Command {
        let mut command = order.tools.trunkline(self.folder.path());
        let target = uri(&self.pair.target, Follower::Trunkline.database());
        command
            .arg("run")
            .args(["--source", &uri(&self.pair.source, DATABASE)])
            .args(["--target", &target]);
        command
    }

    /// Lets one of them read.
    pub(crate) async fn start(
        &self,
        order: &Order,
        follower: Follower,
    ) -> Result<Running, BenchError> {
        match follower {
            Follower::Native => {
                self.native("ALTER SUBSCRIPTION native ENABLE").await?;
                Ok(Running(None))
            }
            Follower::Trunkline => {
                let log = self.folder.path().join("log");
                let file = fs::File::create(&log).map_err(|cause| BenchError::file(&log, cause))?;
                let child = self
                    .trunkline(order)
                    .stdin(std::process::Stdio::null())
                    .stdout(std::process::Stdio::null())
                    .stderr(file)
                    .kill_on_drop(true)
                    .spawn()
                    .map_err(|cause| BenchError::file(Path::new("trunkline"), cause))?;
                Ok(Running(Some(child)))
            }
        }
    }

    /// Lets it rest again.
    pub(crate) async fn stop(&self, running: Running) -> Result<(), BenchError> {
        let Some(mut child) = running.0 else {
            return self.native("ALTER SUBSCRIPTION native DISABLE").await;
        };
        let id = child.id().unwrap_or_default().to_string();
        let interrupted = Command::new("kill").args(["-INT", &id]).status().await;
        interrupted.map_err(|cause| BenchError::file(Path::new("kill"), cause))?;
        let ended = child.wait().await;
        ended.map_err(|cause| BenchError::file(Path::new("trunkline"), cause))?;
        Ok(())
    }

    async fn native(&self, sql: &str) -> Result<(), BenchError> {
        execute(&self.pair.target, Follower::Native.database(), sql).await
    }

    /// Starts one of them, and measures until the turn's marker is there.
    async fn drain(
        &self,
        order: &Order,
        follower: Follower,
        turn: u32,
    ) -> Result<Measured, BenchError> {
        let client = session(&self.pair.target, follower.database()).await?;
        let servers = ServersCpu::now(&self.pair);
        let began = Instant::now();
        let mut running = self.start(order, follower).await?;
        let mut measured = Measured::default();
        let mut looked = began;
        let marker = format!("SELECT count(*) = 1 FROM public.marker WHERE turn = {turn}");
        while !is(&client, &marker).await? {
            if began.elapsed() > DRAIN_WITHIN {
                return Err(too_late("the backlog's end"));
            }
            if let Some(id) = running.id()
                && looked.elapsed() >= LOOK_EVERY
            {
                measured.peak_bytes = measured.peak_bytes.max(memory_bytes(id));
                looked = Instant::now();
            }
            self.still_runs(&mut running)?;
            tokio::time::sleep(POLL_EVERY).await;
        }
        measured.seconds = began.elapsed().as_secs_f64();
        servers.since(&self.pair, &mut measured);
        measured.client_cpu_seconds = running.id().map_or(0.0, cpu_seconds);
        self.stop(running).await?;
        Ok(measured)
    }

    fn still_runs(&self, running: &mut Running) -> Result<(), BenchError> {
        let Some(child) = &mut running.0 else {
            return Ok(());
        };
        match child.try_wait() {
            Ok(None) => Ok(()),
            ended => Err(BenchError::Program {
                program: "trunkline run".to_owned(),
                how: format!("{ended:?}"),
                said: fs::read_to_string(self.folder.path().join("log")).unwrap_or_default(),
            }),
        }
    }
}

/// A follower that reads: our process, or none of our own.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn id(&self) -> Option<u32> {
        self.0.as_ref().and_then(Child::id)
    }
}

async fn drained(order: &Order, backlog: &Backlog) -> Result<Workload, BenchError> {
    let followers = Followers::prepare(order, backlog).await?;
    let mut contestants = FOLLOWERS.map(|follower| Contestant::new(follower.name()));
    for turn in 0..order.pairs {
        backlog
            .change(order, &followers.pair.source, DATABASE, turn)
            .await?;
        for at in order_of(turn, FOLLOWERS.len()) {
            let measured = followers.drain(order, FOLLOWERS[at], turn).await?;
            eprintln!(
                "{}: {} {:.2} s",
                backlog.name,
                FOLLOWERS[at].name(),
                measured.seconds
            );
            contestants[at].runs.push(measured);
        }
        let tables = tables(&followers.pair.source, DATABASE).await?;
        for follower in FOLLOWERS {
            let (who, database) = (follower.name(), follower.database());
            compare(&followers.pair, who, DATABASE, database, Some(&tables)).await?;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "millions")]
    let millions = backlog.changed_rows as f64 / 1e6;
    Ok(Workload {
        name: backlog.name.to_owned(),
        what: backlog.what.clone(),
        contestants: contestants.into(),
        figures: Vec::new(),
    }
    .costing(millions, "a million changes"))
}

/// Whether a statement's one value is true.
async fn is(client: &Client, sql: &str) -> Result<bool, BenchError> {
    let row = client.query_one(sql, &[]).await.doing(sql)?;
    Ok(row.get(0))
}

/// Waits until a statement's one value is true.
async fn holds(client: &Client, sql: &str, what: &str) -> Result<(), BenchError> {
    let began = Instant::now();
    while !is(client, sql).await? {
        if began.elapsed() > READY_WITHIN {
            return Err(too_late(what));
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
    Ok(())
}

pub(crate) fn too_late(what: &str) -> BenchError {
    BenchError::TooLate {
        what: what.to_owned(),
        seconds: DRAIN_WITHIN.as_secs(),
    }
}
