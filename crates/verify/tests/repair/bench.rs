//! A source, and the same target twice: one is mended by sessions, the other by psql.

use std::fs::File;
use std::io::BufWriter;
use std::process::{Command, Output};

use tempfile::TempDir;
use trunkline_changes::TableName;
use trunkline_postgres::{Conninfo, Session};
use trunkline_testkit::contents::assert_same_contents;
use trunkline_testkit::{Cluster, sandbox::client_programs};
use trunkline_verify::{RepairError, RepairTables, Repaired, RowDifference, repair, write_script};

use crate::differ;

pub(crate) struct Bench {
    pub(crate) on_source: Cluster,
    /// Where the target's databases lie, if not on the source's server.
    on_target: Option<Cluster>,
    folder: TempDir,
}

pub(crate) const SOURCE: &str = "source";
pub(crate) const MENDED: &str = "mended";
pub(crate) const SCRIPTED: &str = "scripted";

impl Bench {
    pub(crate) async fn between(source_major: u32, target_major: u32) -> Self {
        let on_source = Cluster::start(source_major);
        let on_target = (source_major != target_major).then(|| Cluster::start(target_major));
        Self::of(on_source, on_target).await
    }

    pub(crate) async fn any() -> Self {
        Self::of(Cluster::start_any(), None).await
    }

    async fn of(on_source: Cluster, on_target: Option<Cluster>) -> Self {
        let bench = Bench {
            on_source,
            on_target,
            folder: tempfile::tempdir().expect("a folder"),
        };
        bench.on_source.create_database(SOURCE).await;
        for database in [MENDED, SCRIPTED] {
            bench.target().create_database(database).await;
        }
        bench
    }

    /// The same statements on the source and on both targets, then others on the source, then
    /// others on the targets.
    pub(crate) async fn set_up(on_both: &str, on_source: &str, on_target: &str) -> Self {
        let bench = Self::any().await;
        let run = [
            (SOURCE, on_source),
            (MENDED, on_target),
            (SCRIPTED, on_target),
        ];
        for (database, own) in run {
            bench.target().psql(database, on_both);
            bench.target().psql(database, own);
        }
        bench
    }

    pub(crate) fn target(&self) -> &Cluster {
        self.on_target.as_ref().unwrap_or(&self.on_source)
    }

    /// A session inside of the snapshot that is compared.
    pub(crate) async fn source(&self) -> Session {
        let mut session = session(&self.on_source.uri(SOURCE)).await;
        begin(&mut session).await;
        session
    }

    pub(crate) async fn target_session(&self, database: &str) -> Session {
        session(&self.target().uri(database)).await
    }

    /// The differences of a target's database.
    pub(crate) async fn differences(&self, database: &str) -> Vec<RowDifference> {
        let mut source = self.source().await;
        let mut target = self.target_session(database).await;
        differ::differences(&mut source, &mut target).await
    }

    /// Mends by sessions.
    pub(crate) async fn repair(
        &self,
        differences: &[RowDifference],
    ) -> Result<Repaired, RepairError> {
        let mut target = self.target_session(MENDED).await;
        self.repair_by(&mut target, differences).await
    }

    pub(crate) async fn repair_by(
        &self,
        target: &mut Session,
        differences: &[RowDifference],
    ) -> Result<Repaired, RepairError> {
        repair_between(&mut self.source().await, target, differences).await
    }

    /// Writes the script that mends the other target; gives its path and its rows.
    pub(crate) async fn write(&self, differences: &[RowDifference]) -> (String, u64) {
        let mut source = self.source().await;
        let mut target = self.target_session(SCRIPTED).await;
        let tables = tables(&mut target, &differ::tables(differences)).await;
        let path = self.folder.path().join("mend.sql");
        let mut file = BufWriter::new(File::create(&path).expect("a file"));
        let heading = "Compared at 0/1\nby a test\rDROP";
        let written = write_script(
            &mut source,
            &mut target,
            &tables,
            differences,
            heading,
            &mut file,
        );
        let rows = written.await.expect("a script");
        (path.to_str().expect("UTF-8").to_owned(), rows)
    }

    /// Runs a script as an administrator would.
    pub(crate) fn psql(&self, path: &str) -> Output {
        let clients = client_programs();
        let newest = clients.last().expect("psql is installed");
        Command::new(newest.bin.join("psql"))
            .args(["-X", "-q", "-d", &self.target().uri(SCRIPTED), "-f", path])
            .output()
            .expect("psql runs")
    }

    /// Mends both targets, each by its way, and expects both to be as the source.
    pub(crate) async fn mend_both(&self) -> Repaired {
        let repaired = self.repair(&self.differences(MENDED).await).await;
        let repaired = repaired.unwrap_or_else(|error| panic!("{error}"));
        let differences = self.differences(SCRIPTED).await;
        let (path, rows) = self.write(&differences).await;
        let output = self.psql(&path);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "psql: {said}");
        assert_eq!(said, "");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        self.assert_same().await;
        assert_eq!(repaired.mended, rows);
        repaired
    }

    pub(crate) async fn assert_same(&self) {
        let source = self.on_source.client(SOURCE).await;
        for database in [MENDED, SCRIPTED] {
            let target = self.target().client(database).await;
            assert_same_contents(&source, &target).await;
        }
    }
}

/// Mends by these sessions, which must be usable afterwards.
pub(crate) async fn repair_between(
    source: &mut Session,
    target: &mut Session,
    differences: &[RowDifference],
) -> Result<Repaired, RepairError> {
    let tables = tables(target, &differ::tables(differences)).await;
    let outcome = repair(source, target, &tables, differences).await;
    assert!(!source.is_broken() && !target.is_broken());
    outcome
}

/// Begins the snapshot that is compared.
pub(crate) async fn begin(source: &mut Session) {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    source.batch(begin).await.expect("a snapshot");
}

pub(crate) async fn tables(session: &mut Session, names: &[TableName]) -> RepairTables {
    RepairTables::read(session, names)
        .await
        .expect("the tables")
}

pub(crate) async fn session(uri: &str) -> Session {
    let conninfo = Conninfo::resolve(uri).expect("a conninfo");
    Session::connect(&conninfo, "test")
        .await
        .expect("a session")
}
