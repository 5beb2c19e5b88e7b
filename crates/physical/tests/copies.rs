//! Copies of real servers: their position, their rights, and that nothing of others is removed.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trunkline_physical::{
    Account, Backup, BackupSlot, ClusterState, Instance, Made, PhysicalError, Programs, Setting,
    StopMode, carried_settings, end_recovery, recovery,
};
use trunkline_postgres::{Conninfo, Session};
use trunkline_testkit::sandbox::{Ground, client_programs, free_port, installed};
use trunkline_testkit::{Cluster, skip_unless_available, until};

const OWNER: &str = "shop-0123abcd";
/// A busy machine.
const LIMIT: Duration = Duration::from_mins(2);

fn programs() -> Vec<PathBuf> {
    let all = installed().into_iter().chain(client_programs());
    all.map(|found| found.bin).collect()
}

async fn instance(ground: &Ground, name: &str, major: u32) -> Instance {
    let account = Account::of(None).await.expect("an account");
    let programs = Programs::server(major, &programs())
        .await
        .expect("programs");
    Instance::new(&ground.path().join(name), account, programs).expect("an instance")
}

fn conninfo(port: u16) -> Conninfo {
    let text = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
    Conninfo::resolve(&text).expect("a conninfo")
}

async fn session(port: u16) -> Session {
    Session::connect(&conninfo(port), "test")
        .await
        .expect("a session")
}

async fn copy(
    instance: &Instance,
    origin: &Cluster,
    slot: BackupSlot,
) -> Result<(), PhysicalError> {
    let source = conninfo(origin.port());
    let backup = Backup {
        source: &source,
        slot,
        programs: &programs(),
    };
    let mut seen = 0;
    let mut progress = |now: trunkline_physical::Progress| seen = now.done_bytes;
    let never = CancellationToken::new();
    let made = instance
        .base_backup(OWNER, &backup, &mut progress, &never)
        .await;
    if made.is_ok() {
        assert!(seen > 1 << 20, "progress was told: {seen} bytes");
    }
    made
}

/// Settings for a server beside its original.
async fn place(instance: &Instance, origin: &Cluster) -> u16 {
    let port = free_port();
    let mut settings = carried_settings(&mut session(origin.port()).await)
        .await
        .expect("settings");
    settings.push(Setting::set("port", port.to_string()));
    let sockets = instance.private_sockets().expect("a folder");
    settings.push(Setting::set(
        "unix_socket_directories",
        sockets.display().to_string(),
    ));
    instance.configure(&settings).expect("settings are written");
    port
}

/// The number of rows and the highest key.
async fn count(session: &mut Session) -> (i64, i64) {
    let sql = "SELECT count(*), max(id) FROM public.t";
    let row = session.query_one(sql, &[]).await.expect("a row");
    (row.get(0).expect("a number"), row.get(1).expect("a number"))
}

async fn a_copy_stops_at_its_position_and_goes_on_alone(major: u32) {
    let origin = Cluster::start(major);
    origin.psql("postgres", "CREATE TABLE t (id serial PRIMARY KEY)");
    let writer = origin.client("postgres").await;
    let ended = CancellationToken::new();
    let end = ended.clone();
    let writing = tokio::spawn(async move {
        while !end.is_cancelled() {
            let insert = "INSERT INTO t DEFAULT VALUES";
            writer.batch_execute(insert).await.expect("a row");
        }
    });
    let ground = Ground::new().expect("a ground");
    let instance = instance(&ground, "copy", major).await;
    copy(&instance, &origin, BackupSlot::Temporary)
        .await
        .expect("a copy");
    assert_eq!(instance.made(OWNER).expect("a look"), Made::Whole);
    let port = place(&instance, &origin).await;
    instance.stop_when_consistent().expect("settings");
    let never = CancellationToken::new();
    instance.start(LIMIT, &never).await.expect("it starts");
    let mut there = session(port).await;
    until(LIMIT, async || {
        recovery(&mut there).await.expect("an answer").paused
    })
    .await;
    let paused = recovery(&mut there).await.expect("an answer");
    let (rows, last) = count(&mut there).await;
    assert_eq!(
        rows, last,
        "one writer's rows are there up to the position, without a hole"
    );
    ended.cancel();
    writing.await.expect("the writer ends");
    end_recovery(&mut there).await.expect("recovery ends");
    until(LIMIT, async || {
        !recovery(&mut there).await.expect("an answer").inside
    })
    .await;
    assert_eq!(
        count(&mut there).await,
        (rows, last),
        "nothing was replayed after the position"
    );
    let mut here = session(origin.port()).await;
    let origin_now = recovery(&mut here).await.expect("an answer");
    assert_eq!(origin_now.system_id, paused.system_id);
    assert_eq!(
        instance.control_file().expect("a file").system_id,
        paused.system_id
    );
    assert!(paused.position < origin_now.position);
    there
        .batch("INSERT INTO public.t DEFAULT VALUES")
        .await
        .expect("it takes writes");
    instance.forget_recovery().expect("settings");
    instance.stop(StopMode::Fast).await.expect("it stops");
    assert_eq!(
        instance.control_file().expect("a file").state,
        ClusterState::ShutDown
    );
    instance
        .start(LIMIT, &never)
        .await
        .expect("it starts again");
    assert!(instance.is_running().await);
    assert!(instance.remove(OWNER).await.expect("it goes"));
    assert!(!instance.data().exists());
}

macro_rules! versions {
    ($($name:ident $major:literal)*) => {
        $(#[tokio::test]
        async fn $name() {
            skip_unless_available!($major);
            a_copy_stops_at_its_position_and_goes_on_alone($major).await;
        })*
    };
}

versions! {
    a_copy_of_12_stops_at_its_position_and_goes_on_alone 12
    a_copy_of_13_stops_at_its_position_and_goes_on_alone 13
    a_copy_of_14_stops_at_its_position_and_goes_on_alone 14
    a_copy_of_15_stops_at_its_position_and_goes_on_alone 15
    a_copy_of_16_stops_at_its_position_and_goes_on_alone 16
    a_copy_of_17_stops_at_its_position_and_goes_on_alone 17
    a_copy_of_18_stops_at_its_position_and_goes_on_alone 18
}

#[tokio::test]
async fn a_standby_streams_with_a_password_that_its_settings_do_not_show() {
    skip_unless_available!(15);
    let origin = Cluster::builder(15)
        .hba("local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost replication copier 127.0.0.1/32 scram-sha-256\n")
        .start();
    origin.psql(
        "postgres",
        r"CREATE ROLE copier LOGIN REPLICATION PASSWORD 'a:b\c'",
    );
    origin.psql(
        "postgres",
        "SELECT pg_create_physical_replication_slot('standby')",
    );
    let ground = Ground::new().expect("a ground");
    let instance = instance(&ground, "standby", 15).await;
    let source = format!(
        "host=127.0.0.1 port={} user=copier dbname=postgres",
        origin.port()
    );
    let source = Conninfo::resolve(&source)
        .expect("a conninfo")
        .with_password(r"a:b\c");
    let never = CancellationToken::new();
    let backup = Backup {
        source: &source,
        slot: BackupSlot::Named("standby".to_owned()),
        programs: &programs(),
    };
    instance
        .base_backup(OWNER, &backup, &mut |_| {}, &never)
        .await
        .expect("a copy");
    let port = place(&instance, &origin).await;
    instance
        .follow(&source, Some("standby"), "copy")
        .expect("settings");
    instance.start(LIMIT, &never).await.expect("it starts");
    let mut there = session(port).await;
    origin.psql("postgres", "CREATE TABLE kept AS SELECT 7 AS n");
    until(LIMIT, async || {
        let sql = "SELECT pg_catalog.to_regclass('public.kept') IS NOT NULL";
        there
            .query_one(sql, &[])
            .await
            .expect("a row")
            .get::<bool>(0)
            .expect("a yes or no")
    })
    .await;
    let row = there
        .query_one("SHOW primary_conninfo", &[])
        .await
        .expect("a row");
    assert!(!row.get::<String>(0).expect("text").contains("b\\c"));
    instance
        .promote(LIMIT, &never)
        .await
        .expect("it is promoted");
    assert!(!recovery(&mut there).await.expect("an answer").inside);
}

#[tokio::test]
async fn what_is_not_ours_is_neither_filled_nor_removed() {
    skip_unless_available!(15);
    let origin = Cluster::start(15);
    let ground = Ground::new().expect("a ground");
    let instance = instance(&ground, "data", 15).await;
    std::fs::create_dir(instance.data()).expect("a folder");
    std::fs::write(instance.data().join("precious"), "1").expect("a file");
    let refused = copy(&instance, &origin, BackupSlot::Temporary).await;
    assert!(
        matches!(refused, Err(PhysicalError::Folder { .. })),
        "{refused:?}"
    );
    assert_eq!(instance.made(OWNER).expect("a look"), Made::Foreign);
    assert!(!instance.remove(OWNER).await.expect("nothing is done"));
    assert!(instance.data().join("precious").exists());

    std::fs::remove_file(instance.data().join("precious")).expect("it goes");
    copy(&instance, &origin, BackupSlot::Temporary)
        .await
        .expect("a copy");
    assert!(
        !instance
            .remove("another-one")
            .await
            .expect("nothing is done")
    );
    assert!(instance.data().join("PG_VERSION").exists());
    instance.release(OWNER).expect("the receipt goes");
    assert!(!instance.remove(OWNER).await.expect("nothing is done"));
    assert!(instance.data().join("PG_VERSION").exists());
}

#[tokio::test]
async fn a_copy_that_was_interrupted_is_made_anew() {
    skip_unless_available!(15);
    let origin = Cluster::start(15);
    let filled =
        "CREATE TABLE big AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 200000)";
    origin.psql("postgres", filled);
    let ground = Ground::new().expect("a ground");
    let instance = instance(&ground, "data", 15).await;
    let source = conninfo(origin.port());
    let backup = Backup {
        source: &source,
        slot: BackupSlot::Temporary,
        programs: &programs(),
    };
    // A copy may be made before it is noticed that it is to stop: then once more.
    loop {
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let mut progress = move |_: trunkline_physical::Progress| stop.cancel();
        let ended = instance
            .base_backup(OWNER, &backup, &mut progress, &cancel)
            .await;
        match ended {
            Ok(()) => assert!(instance.remove(OWNER).await.expect("it goes")),
            Err(PhysicalError::Cancelled) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(instance.made(OWNER).expect("a look"), Made::Unfinished);
    copy(&instance, &origin, BackupSlot::Temporary)
        .await
        .expect("a copy");
    assert_eq!(instance.made(OWNER).expect("a look"), Made::Whole);
    assert!(instance.remove(OWNER).await.expect("it goes"));
    let left: Vec<_> = std::fs::read_dir(ground.path())
        .expect("a folder")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
