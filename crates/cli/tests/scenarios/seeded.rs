//! The first rows come with a physical copy of the source: one that we make, or somebody else's
//! whose position the plan says. A position that is not exactly the copy's is refused.

use tokio_postgres::Client;
use trunkline_testkit::contents::catalog;
use trunkline_testkit::sandbox::free_port;
use trunkline_testkit::{Cluster, skip_unless_available};

use crate::scene::copied::{Copied, assert_nothing_of_ours};
use crate::scene::{DATABASE, assert_same_catalog};

/// A plan with a copy that we make.
async fn with_base_backup(major: u32, more: &str) -> Copied {
    let scene = Copied::new(Cluster::start(major), free_port()).await;
    plan(&scene, &format!("{}{more}", scene.made_by_us()));
    scene
}

fn plan(scene: &Copied, seed: &str) {
    scene.plan(&format!("[seed]\nmethod = \"snapshot\"\n{seed}\n"));
}

async fn moves_with_a_base_backup(major: u32, more: &str) {
    let scene = with_base_backup(major, more).await;
    let writers = scene.writers();
    let report = scene.done(&["check", "--json"]).await.json();
    assert!(
        report["findings"].to_string().contains("seeded"),
        "{report:#}"
    );
    scene
        .done(&["run", "--until", "verified"])
        .await
        .expect_said(&["changed before it are there"]);
    scene.done(&["cutover"]).await;
    assert_eq!(scene.phase().await, "switched");
    writers.stop().await;
    scene.assert_same().await;
    let on_target = scene.on_target().await;
    on_target
        .batch_execute(
            "CREATE TABLE shop.made_there (id int PRIMARY KEY); DROP TABLE shop.made_there",
        )
        .await
        .expect("clients write on the new server");
    scene.done(&["complete"]).await;
    assert_nothing_of_ours("source", &catalog(&scene.on_source().await).await);
    assert_nothing_of_ours("target", &catalog(&on_target).await);
    assert!(
        scene.data().join("PG_VERSION").exists(),
        "the new server is the operator's"
    );
    assert!(!scene.data().join("trunkline.receipt").exists());
    assert_eq!(scene.phase().await, "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_seeded_by_a_base_backup_and_cut_over_under_writers() {
    skip_unless_available!(15);
    moves_with_a_base_backup(15, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_16_is_upgraded_to_18_and_cut_over_under_writers() {
    skip_unless_available!(16, 18);
    moves_with_a_base_backup(16, "upgrade_to = 18").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_given_up_is_removed_without_a_trace() {
    skip_unless_available!(15);
    let scene = with_base_backup(15, "").await;
    let before = catalog(&scene.on_source().await).await;
    let writers = scene.writers();
    for until in ["loaded", "following"] {
        scene.done(&["run", "--until", until]).await;
        assert!(scene.data().join("trunkline.receipt").exists());
        let report = scene.done(&["abort", "--json"]).await.json();
        assert_eq!(report["phase"], "aborted", "{report:#}");
        assert!(!scene.data().exists(), "the copy is gone");
        assert_eq!(scene.phase().await, "aborted");
    }
    let outcome = writers.stop().await;
    assert_eq!(outcome.disconnects, 0, "nobody was disturbed: {outcome:?}");
    scene.assert_ground_is_empty();
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seeded_run_that_is_killed_in_every_step_goes_on_to_the_same_end() {
    skip_unless_available!(15);
    let scene = with_base_backup(15, "").await;
    let writers = scene.writers();
    let steps = [
        "replication slot",
        "copying the server",
        "recovering the copy",
        "proving the seed",
        "starting the new server",
        "checking both servers",
        "catching up",
    ];
    scene.killed_at(&steps, "verified").await;
    scene.done(&["run", "--until", "verified"]).await;
    writers.stop().await;
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
}

/// A transaction of the source's log.
struct Committed {
    end: u64,
    /// Whether it touched a table with a key: others cannot be looked for.
    keyed: bool,
    /// Whether it is on the copy.
    copied: bool,
}

/// All of them, in order.
async fn history(source: &Client, copy: &Client) -> Vec<Committed> {
    let sql = "SELECT xid::text::bigint, max((lsn - '0/0'::pg_lsn)::bigint), \
                      bool_or(data LIKE 'table shop.%' AND data NOT LIKE 'table shop.events%') \
               FROM pg_logical_slot_peek_changes('witness', NULL, NULL, 'skip-empty-xacts', '1') \
               WHERE data NOT LIKE 'BEGIN%' GROUP BY 1 ORDER BY 2";
    let copied = "SELECT CASE WHEN $1::bigint < pg_snapshot_xmax(pg_current_snapshot())::text::bigint \
                         THEN pg_xact_status($1::bigint::text::xid8) = 'committed' END";
    let mut history = Vec::new();
    for row in source.query(sql, &[]).await.expect("the witness tells") {
        let xid: i64 = row.get(0);
        let known = copy.query_one(copied, &[&xid]).await;
        history.push(Committed {
            end: u64::try_from(row.get::<_, i64>(1)).expect("a position"),
            keyed: row.get(2),
            copied: known.expect("the copy tells").get::<_, Option<bool>>(0) == Some(true),
        });
    }
    history
}

fn lsn(position: u64) -> String {
    format!("{:X}/{:X}", position >> 32, position & 0xFFFF_FFFF)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_copy_is_taken_at_its_exact_position_and_at_no_other() {
    skip_unless_available!(15);
    let source = Cluster::start(15);
    let mut scene = Copied::new(source, free_port()).await;
    plan(&scene, "");
    let here = scene.on_source().await;
    here.batch_execute("CREATE TABLE public.across (id int PRIMARY KEY, state text)")
        .await
        .expect("a table");
    let writers = scene.writers();
    // Made before ours, so that it misses no transaction that ours has.
    here.batch_execute("SELECT pg_create_logical_replication_slot('witness', 'test_decoding')")
        .await
        .expect("a witness");
    let ran = scene.done(&["run"]).await;
    assert!(
        ran.stdout.contains("copy the source's storage now"),
        "{ran}"
    );
    assert_eq!(scene.phase().await, "prepared");

    let mut open = scene.on_source().await;
    let across = open.transaction().await.expect("a transaction");
    across
        .batch_execute("INSERT INTO public.across SELECT n, 'open' FROM generate_series(1, 500) n")
        .await
        .expect("changes before the copy");
    let mut copy = Cluster::builder(15)
        .base_backup_of(&scene.source, &[])
        .prepare();
    copy.start_again();
    let seen = writers.committed();
    trunkline_testkit::until(crate::scene::PATIENCE, async || {
        writers.committed() > seen + 20
    })
    .await;
    across.commit().await.expect("it commits after the copy");

    let log = copy.server().log();
    scene.port = copy.port();
    scene.program = scene
        .program
        .clone()
        .variable("TRUNKLINE_TARGET", &copy.uri(DATABASE));
    let history = history(&here, &scene.on_target().await).await;
    let first_missing = history.iter().position(|known| !known.copied);
    let first_missing = first_missing.expect("writers went on");
    assert!(
        history[first_missing..].iter().all(|known| !known.copied),
        "a copy is a prefix"
    );
    // One transaction that can be looked for is between the position and the right one.
    let (there, missing) = history.split_at(first_missing);
    let last = there
        .iter()
        .rposition(|known| known.keyed)
        .expect("one before");
    let next = missing
        .iter()
        .position(|known| known.keyed)
        .expect("one after");
    let (too_low, too_high) = (there[last - 1].end, missing[next].end);
    for (position, said) in [(too_low, "too low"), (too_high, "too high")] {
        plan(&scene, &format!("position = \"{}\"", lsn(position)));
        let before = catalog(&scene.on_target().await).await;
        let ran = scene
            .program
            .run(&["run", "--until", "verified"])
            .await
            .expect_code(9);
        ran.expect_said(&[said, "no row was touched"]);
        let after = catalog(&scene.on_target().await).await;
        assert_same_catalog("target", &before, &after);
    }
    let path = scene.folder.path().join("recovery.log");
    std::fs::write(&path, &log).expect("the log is written");
    plan(
        &scene,
        &format!("position_from = \"log:{}\"", path.display()),
    );
    scene.done(&["run", "--until", "verified"]).await;
    writers.stop().await;
    here.batch_execute("SELECT pg_drop_replication_slot('witness')")
        .await
        .expect("it goes");
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
}
