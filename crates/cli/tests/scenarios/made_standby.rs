//! The route over a standby that Trunkline makes: from nothing but a source to a target that
//! serves, with writers running through it; given up, killed, promoted by somebody else.

use std::time::Duration;

use trunkline_testkit::contents::catalog;
use trunkline_testkit::sandbox::{Ground, free_port};
use trunkline_testkit::world::Writers;
use trunkline_testkit::{Cluster, skip_unless_available, until, uri_at};

use crate::scene::copied::{Copied, assert_nothing_of_ours};
use crate::scene::{DATABASE, PATIENCE, Scene, assert_same_catalog};

/// The version of which a base backup can be made here.
const MAJOR: u32 = 15;

async fn to_be_made() -> Copied {
    over(Cluster::start(MAJOR), "").await
}

async fn over(source: Cluster, more: &str) -> Copied {
    let scene = Copied::new(source, free_port()).await;
    scene.plan(&format!(
        "[migration]\nroute = \"replica\"\n[replica]\n{}{more}",
        scene.made_by_us()
    ));
    scene
}

/// Physical slots of the source.
fn slots(scene: &Copied) -> String {
    scene.source.psql(
        "postgres",
        "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical'",
    )
}

/// What the new server's own settings say.
fn settings(scene: &Copied) -> String {
    std::fs::read_to_string(scene.data().join("postgresql.auto.conf")).expect("settings")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_made_and_becomes_the_target_and_clients_can_go_back() {
    skip_unless_available!(MAJOR);
    let scene = to_be_made().await;
    let before = catalog(&scene.on_source().await).await;
    let writers = scene.writers();
    let role = scene.done(&["sql", "role"]).await.stdout;
    assert!(role.contains("pg_promote(boolean, integer)"), "{role}");
    let checked = scene.done(&["check"]).await;
    assert!(checked.stdout.contains("standby-made"), "{checked}");
    let plan = scene.done(&["plan"]).await;
    assert!(plan.stdout.contains("pg_basebackup"), "{plan}");
    scene.done(&["run", "--until", "verified"]).await;
    assert!(slots(&scene).starts_with("trunkline_"), "{}", slots(&scene));
    assert!(settings(&scene).contains("primary_slot_name"));
    scene.done(&["check"]).await;
    scene.done(&["cutover", "--rehearse"]).await;
    let following = scene.program.start(&["run"]);
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    let outcome = writers.stop().await;
    assert!(outcome.committed > 0, "{outcome:?}");
    scene.assert_same().await;
    assert_eq!(slots(&scene), "", "nobody streams from it any more");

    let on_target = Writers::to(&uri_at(scene.port, DATABASE))
        .tasks(2)
        .pause(Duration::from_millis(20))
        .reconnecting()
        .start();
    until(PATIENCE, async || on_target.committed() > 20).await;
    let report = scene.done(&["rollback", "--json"]).await.json();
    assert_eq!(report["outcome"], "rolled_back", "{report:#}");
    on_target.stop().await;
    scene.assert_same().await;
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    scene.done(&["complete"]).await;
    following.ended().await.expect_code(0);
    assert_nothing_of_ours("source", &catalog(&scene.on_source().await).await);
    assert_nothing_of_ours("target", &catalog(&scene.on_target().await).await);
    for name in [
        "primary_conninfo",
        "primary_slot_name",
        "hot_standby_feedback",
        "trunkline",
    ] {
        assert!(!settings(&scene).contains(name), "{name} is left");
    }
    for file in ["trunkline.receipt", "trunkline.passfile", "standby.signal"] {
        assert!(!scene.data().join(file).exists(), "{file} is left");
    }
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_given_up_takes_the_standby_and_its_slot_with_it() {
    skip_unless_available!(MAJOR);
    let scene = to_be_made().await;
    let before = catalog(&scene.on_source().await).await;
    let writers = scene.writers();
    for until in ["loaded", "verified"] {
        scene.done(&["run", "--until", until]).await;
        assert!(scene.data().join("standby.signal").exists());
        scene.done(&["abort"]).await;
        assert_eq!(slots(&scene), "");
        assert!(!scene.data().exists(), "the standby is gone");
        assert_eq!(scene.phase().await, "aborted");
    }
    let outcome = writers.stop().await;
    assert_eq!(outcome.disconnects, 0, "nobody was disturbed: {outcome:?}");
    scene.assert_ground_is_empty();
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_while_it_makes_the_standby_goes_on_to_the_same_end() {
    skip_unless_available!(MAJOR);
    let scene = to_be_made().await;
    let writers = scene.writers();
    let steps = [
        "physical slot",
        "copying the server",
        "starting the standby",
        "waiting until the standby streams",
        "looking for the standby",
        "comparing both sides",
    ];
    scene.killed_at(&steps, "verified").await;
    scene.done(&["run", "--until", "verified"]).await;
    assert_eq!(slots(&scene).lines().count(), 1, "{}", slots(&scene));
    writers.stop().await;
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    scene.done(&["complete"]).await;
    assert_eq!(slots(&scene), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_of_a_run_that_was_killed_in_its_base_backup_leaves_nothing() {
    skip_unless_available!(MAJOR);
    let scene = to_be_made().await;
    let mut running = scene.program.start(&["run"]);
    assert!(running.says("copying the server").await);
    running.kill().await;
    scene.done(&["abort"]).await;
    assert_eq!(slots(&scene), "");
    assert!(!scene.data().exists());
}

/// What was promoted in the pause and given up is ours to remove, and is made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_was_promoted_in_vain_is_made_again_by_the_next_run() {
    skip_unless_available!(MAJOR);
    let smoke = "[[cutover.smoke]]\nname = \"open\"\nsql = \"SELECT count(*) FROM public.open\"\n\
                 expect = \"1\"\n";
    let scene = over(Cluster::start(MAJOR), smoke).await;
    scene
        .source
        .psql(DATABASE, "CREATE TABLE public.open (id int PRIMARY KEY)");
    scene.done(&["run", "--until", "verified"]).await;
    let given_up = scene.program.run(&["cutover"]).await.expect_code(7);
    given_up.expect_said(&["promoted by then"]);
    scene
        .source
        .psql(DATABASE, "INSERT INTO public.open VALUES (1)");
    let again = scene.done(&["run", "--until", "verified"]).await;
    again.expect_said(&["promoted in vain"]);
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    scene.done(&["complete"]).await;
    assert_eq!(slots(&scene), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_somebody_else_promoted_is_not_removed() {
    skip_unless_available!(MAJOR);
    let scene = to_be_made().await;
    scene.done(&["run", "--until", "verified"]).await;
    let there = scene.on_target().await;
    there
        .batch_execute("SELECT pg_promote()")
        .await
        .expect("it is promoted");
    there
        .batch_execute("CREATE TABLE public.theirs (id int)")
        .await
        .expect("it takes writes");
    for _ in 0..2 {
        let refused = scene.program.run(&["run"]).await.expect_code(9);
        refused.expect_said(&["not a standby"]);
    }
    let aborted = scene.done(&["abort"]).await;
    assert!(aborted.stdout.contains("somebody promoted it"), "{aborted}");
    there
        .batch_execute("INSERT INTO public.theirs VALUES (1)")
        .await
        .expect("it serves on");
    assert_eq!(slots(&scene), "");
    assert!(!scene.data().join("trunkline.receipt").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_names_what_keeps_a_standby_from_being_made() {
    skip_unless_available!(MAJOR);
    let source = Cluster::builder(MAJOR)
        .setting("max_replication_slots", "1")
        .start();
    let mut scene = over(source, "").await;
    scene.source.psql(
        "postgres",
        "SELECT pg_create_physical_replication_slot('other')",
    );
    // Somebody else's server stands where it is to be.
    let other = Cluster::start(MAJOR);
    other.create_database(DATABASE).await;
    scene.program = scene
        .program
        .clone()
        .variable("TRUNKLINE_TARGET", &other.uri(DATABASE));
    let checked = scene.program.run(&["check"]).await.expect_code(3);
    for code in ["standby-room", "standby-place"] {
        assert!(checked.stdout.contains(code), "{checked}");
    }
    scene.program.run(&["run"]).await.expect_code(3);
    assert!(!scene.data().exists(), "nothing was begun");
    scene.plan("[migration]\nroute = \"replica\"\n[replica]\nport = 5433\n");
    let refused = scene.program.run(&["check"]).await.expect_code(2);
    refused.expect_said(&["port", "basebackup"]);
}

/// The platform's metric is asked in the pause, and a series that never comes to rest gives the
/// source back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lag_metric_must_come_to_rest_before_the_promotion() {
    skip_unless_available!(MAJOR);
    let metric = Ground::new().expect("a ground");
    let file = metric.path().join("metric");
    let text = format!(
        "lag_command = \"cat '{}'\"\n[cutover]\nmax_pause = \"20s\"\n",
        file.display()
    );
    let scene = over(Cluster::start(MAJOR), &text).await;
    let writers = scene.writers();
    scene.done(&["run", "--until", "verified"]).await;
    // Never zero: small, and constant.
    std::fs::write(&file, "1048576\n").expect("written");
    let given_up = scene.program.run(&["cutover"]).await.expect_code(7);
    given_up.expect_said(&["lag metric"]);
    assert!(
        scene.data().join("standby.signal").exists(),
        "it follows on"
    );
    std::fs::write(&file, "none\n").expect("written");
    let given_up = scene.program.run(&["cutover"]).await.expect_code(7);
    given_up.expect_said(&["not a number of bytes"]);
    std::fs::write(&file, "0\n").expect("written");
    scene.done(&["cutover"]).await;
    writers.stop().await;
    scene.assert_same().await;
    scene.done(&["complete"]).await;
}

/// A standby below 16 decodes nothing: it is promoted, and what it then is moves on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_below_16_goes_by_promotion_and_then_by_the_stream_under_writers() {
    skip_unless_available!(MAJOR, 18);
    let scene = to_be_made().await;
    let writers = scene.writers();
    scene.done(&["run", "--until", "verified"]).await;
    scene.done(&["cutover"]).await;
    writers.stop().await;
    scene.assert_same().await;
    scene.done(&["complete"]).await;

    // The promoted server is the next migration's source.
    let last = Cluster::start(18);
    last.create_database(DATABASE).await;
    let mut next = Scene::over(Cluster::start(MAJOR), last, DATABASE);
    next.reach("TRUNKLINE_SOURCE", &uri_at(scene.port, DATABASE));
    let writers = Writers::to(&uri_at(scene.port, DATABASE))
        .tasks(4)
        .pause(Duration::from_millis(20))
        .reconnecting()
        .start();
    next.done(&["run", "--until", "verified"]).await;
    let report = next.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    let outcome = writers.stop().await;
    assert!(outcome.committed > 0, "{outcome:?}");
    let (from, to) = (scene.on_target().await, next.on_target().await);
    trunkline_testkit::contents::assert_same_contents(&from, &to).await;
    next.done(&["complete"]).await;
}

/// A plain role that logs in with a password makes and promotes the standby; the password is
/// in one file, which goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_role_with_a_password_makes_the_standby_and_promotes_it() {
    const PASSWORD: &str = r"pass 'wörd\:";
    const HBA: &str = "host all,replication trunkline 127.0.0.1/32 scram-sha-256\n\
                       host all all 127.0.0.1/32 trust\n";
    skip_unless_available!(MAJOR);
    let mut scene = over(Cluster::builder(MAJOR).hba(HBA).start(), "").await;
    let owner = "CREATE ROLE app_owner NOLOGIN; CREATE ROLE app_user LOGIN; \
                 GRANT app_owner TO app_user; ALTER DATABASE app OWNER TO app_owner; \
                 ALTER SCHEMA shop OWNER TO app_owner; \
                 DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT oid::regclass FROM pg_class \
                 WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'p') LOOP \
                 EXECUTE format('ALTER TABLE %s OWNER TO app_owner', t); END LOOP; END $$";
    scene.source.psql(DATABASE, owner);
    let script = scene.done(&["sql", "role"]).await.stdout;
    scene.source.psql(DATABASE, &script);
    let password = PASSWORD.replace('\'', "''");
    let sql = format!("ALTER ROLE trunkline PASSWORD '{password}'");
    scene.source.psql(DATABASE, &sql);
    let as_plain = |port: u16| uri_at(port, DATABASE).replace("postgres@", "trunkline@");
    let source = as_plain(scene.source.port());
    scene.program = scene
        .program
        .clone()
        .variable("TRUNKLINE_SOURCE", &source)
        .variable("TRUNKLINE_TARGET", &as_plain(scene.port))
        .variable("PGPASSWORD", PASSWORD);
    // A superuser's sessions are not ours to end.
    let clients = scene.source.uri(DATABASE).replace("postgres@", "app_user@");
    let writers = Writers::to(&clients)
        .tasks(2)
        .pause(Duration::from_millis(20))
        .reconnecting()
        .start();
    scene.done(&["check"]).await;
    scene.done(&["run", "--until", "verified"]).await;
    let there = scene.on_target().await;
    let shown = there.query_one("SHOW primary_conninfo", &[]).await;
    let shown: String = shown.expect("it is shown").get(0);
    assert!(shown.contains("passfile"), "{shown}");
    let log = std::fs::read_to_string(scene.data().join("trunkline_start.log"));
    for text in [shown, log.expect("a log"), settings(&scene)] {
        assert!(!text.contains("wörd"), "the password is shown: {text}");
    }
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    writers.stop().await;
    scene.assert_same().await;
    scene.done(&["complete"]).await;
    assert_eq!(slots(&scene), "");
    assert!(!scene.data().join("trunkline.passfile").exists());
}

/// Once it is promoted it confirms nothing, and commits on the source would stand still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_commits_wait_for_is_not_promoted() {
    skip_unless_available!(MAJOR);
    let scene = to_be_made().await;
    scene.done(&["run", "--until", "verified"]).await;
    let wait_for = |names: &str| {
        let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
        scene.source.psql("postgres", &sql);
        scene.source.psql("postgres", "SELECT pg_reload_conf()");
    };
    wait_for("*");
    until(PATIENCE, async || {
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        scene.source.psql("postgres", sql) == "1"
    })
    .await;
    let checked = scene.program.run(&["check"]).await.expect_code(3);
    assert!(checked.stdout.contains("standby-waited-for"), "{checked}");
    let refused = scene.program.run(&["cutover"]).await.expect_code(9);
    refused.expect_said(&["wait for this standby"]);
    assert!(scene.data().join("standby.signal").exists());
    wait_for("");
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    scene.done(&["complete"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cutover_that_is_killed_is_gone_on_from_with_another_standby_if_need_be() {
    skip_unless_available!(MAJOR);
    let scene = to_be_made().await;
    let writers = scene.writers();
    scene.done(&["run", "--until", "verified"]).await;
    for step in [
        "holding clients",
        "promoting the standby",
        "preparing the way back",
        "moving clients",
    ] {
        let mut cutover = scene.program.start(&["cutover"]);
        assert!(cutover.says(step).await, "{step} was not said");
        cutover.kill().await;
        if scene.phase().await == "switched" {
            break;
        }
        // If it was promoted by then, this makes another one.
        scene.done(&["run", "--until", "verified"]).await;
        assert!(scene.data().join("standby.signal").exists());
        assert_eq!(slots(&scene).lines().count(), 1, "{}", slots(&scene));
        let sql = "INSERT INTO shop.journal (entry) VALUES ('still')";
        scene.source.psql(DATABASE, sql);
    }
    if scene.phase().await != "switched" {
        scene.done(&["cutover"]).await;
    }
    scene.done(&["run", "--until", "switched"]).await;
    writers.stop().await;
    scene.assert_same().await;
    assert_eq!(slots(&scene), "");
    scene.done(&["complete"]).await;
    assert_nothing_of_ours("target", &catalog(&scene.on_target().await).await);
}
