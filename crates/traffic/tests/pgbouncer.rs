//! A real PgBouncer between clients and two real servers.

mod scene;

use std::fs;
use std::time::{Duration, Instant};

use scene::{DEADLINE, Sides, Writers, side_behind, side_of, under_way, until_more_than};
use trunkline_changes::Side;
use trunkline_migration::traffic::Traffic;
use trunkline_postgres::{Conninfo, Console};
use trunkline_testkit::front::PgBouncer as Pooler;
use trunkline_testkit::{skip_unless_installed, until};
use trunkline_traffic::{PgBouncer, PgBouncerPlan};

fn line(sides: &Sides, name: &str) -> String {
    let port = sides.source.port();
    format!("{name}  =  host=127.0.0.1 port={port} dbname=orders pool_size=5 user=postgres\n")
}

fn adapter_as(user: &str, sides: &Sides, pooler: &Pooler, databases: &[&str]) -> PgBouncer {
    PgBouncer::new(PgBouncerPlan {
        admin: Conninfo::resolve(&pooler.console(user)).expect("it is whole"),
        config: pooler.config(),
        databases: databases.iter().map(|&name| name.to_owned()).collect(),
        addresses: sides.addresses(),
    })
}

fn adapter(sides: &Sides, pooler: &Pooler) -> PgBouncer {
    adapter_as("admin", sides, pooler, &["orders"])
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_wait_and_go_on_at_the_target_without_an_error() {
    skip_unless_installed!("pgbouncer");
    let sides = Sides::start().await;
    let pooler = Pooler::start(&line(&sides, "orders"), "");
    let traffic = adapter(&sides, &pooler);
    let before = fs::read_to_string(pooler.config()).expect("it is there");
    traffic
        .look(Side::Source, DEADLINE)
        .await
        .expect("all is well");
    let writers = Writers::start(&pooler.uri("orders"), 8);
    until_more_than(&sides.source, 50).await;
    let began = Instant::now();

    traffic
        .hold(Side::Source, DEADLINE)
        .await
        .expect("transactions are short");
    assert_eq!(under_way(&sides.source).await, 0);
    let held = sides.written().await;
    traffic
        .hold(Side::Source, DEADLINE)
        .await
        .expect("held twice is held");
    traffic
        .point_at(Side::Target, DEADLINE)
        .await
        .expect("the line can be changed");
    assert_eq!(
        sides.written().await,
        held,
        "clients wait until they are released"
    );
    traffic
        .release(Side::Target, DEADLINE)
        .await
        .expect("they can go on");
    traffic
        .verify(Side::Target, DEADLINE)
        .await
        .expect("they go to the target");
    until_more_than(&sides.target, 50).await;
    // A login that PAUSE cut off would keep the pool for 15 seconds.
    assert!(began.elapsed() < Duration::from_secs(10));
    let console = Conninfo::resolve(&pooler.console("admin")).expect("it is whole");
    let console = Console::connect(&console, "test").await;
    let settings = console.expect("it answers").run("SHOW CONFIG").await;
    let retry = settings
        .expect("it answers")
        .into_iter()
        .find_map(|mut row| {
            let is_ours = row["key"].as_deref() == Some("server_login_retry");
            is_ours.then(|| row.remove("value"))
        });
    assert_eq!(
        retry.flatten().flatten().as_deref(),
        Some("15"),
        "it is as it was"
    );

    let (written, errors) = writers.stop().await;
    assert_eq!(errors, Vec::<String>::new());
    let (at_source, at_target) = sides.written().await;
    assert_eq!(
        at_source, held.0,
        "nothing came to the source after the hold"
    );
    assert_eq!(at_source + at_target, written, "every row is on one side");
    let after = fs::read_to_string(pooler.config()).expect("it is there");
    let port = |side: u16| format!("port={side}");
    let expected = before.replace(&port(sides.source.port()), &port(sides.target.port()));
    assert_eq!(after, expected);
    traffic
        .look(Side::Target, DEADLINE)
        .await
        .expect("it serves the target");
    let error = traffic
        .look(Side::Source, DEADLINE)
        .await
        .expect_err("not the source");
    assert!(error.why.contains("not to the source"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_is_given_up_leaves_clients_served() {
    skip_unless_installed!("pgbouncer");
    let sides = Sides::start().await;
    let pooler = Pooler::start(&line(&sides, "orders"), "");
    let traffic = adapter(&sides, &pooler);
    let busy = trunkline_testkit::connect(&pooler.uri("orders")).await;
    busy.batch_execute("BEGIN; SELECT 1")
        .await
        .expect("it is served");

    let started = Instant::now();
    let time = Duration::from_secs(3);
    let error = traffic
        .hold(Side::Source, time)
        .await
        .expect_err("a transaction stays open");
    assert_eq!(error.step, "hold");
    assert!(
        error.why.contains("took longer") && !error.why.contains("session"),
        "{error}"
    );
    assert!(started.elapsed() < time + Duration::from_secs(2));
    assert_eq!(
        side_behind(&pooler.uri("orders")).await.as_deref(),
        Some("source")
    );
    busy.batch_execute("COMMIT").await.expect("it was not cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_pool_whose_client_stays_is_told_and_not_held() {
    skip_unless_installed!("pgbouncer");
    let sides = Sides::start().await;
    let pooler = Pooler::start(&line(&sides, "orders"), "pool_mode = session");
    let traffic = adapter(&sides, &pooler);
    traffic
        .look(Side::Source, DEADLINE)
        .await
        .expect("that is a warning only");
    let stays = trunkline_testkit::connect(&pooler.uri("orders")).await;
    assert_eq!(side_of(&stays).await.expect("it is served"), "source");

    let error = traffic
        .hold(Side::Source, Duration::from_secs(3))
        .await
        .expect_err("it stays");
    assert!(error.why.contains("pool_mode session"), "{error}");
    assert_eq!(side_of(&stays).await.expect("it is served"), "source");
    assert_eq!(
        side_behind(&pooler.uri("orders")).await.as_deref(),
        Some("source")
    );
    drop(stays);
    until(DEADLINE, async || {
        traffic
            .hold(Side::Source, Duration::from_secs(3))
            .await
            .is_ok()
    })
    .await;
    traffic
        .release(Side::Source, DEADLINE)
        .await
        .expect("they can go on");
    assert_eq!(
        side_behind(&pooler.uri("orders")).await.as_deref(),
        Some("source")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_is_killed_in_the_pause_can_be_pointed_and_released_again() {
    skip_unless_installed!("pgbouncer");
    let sides = Sides::start().await;
    let mut pooler = Pooler::start(&line(&sides, "orders"), "");
    let traffic = adapter(&sides, &pooler);
    traffic
        .hold(Side::Source, DEADLINE)
        .await
        .expect("nobody is busy");
    pooler.kill();
    for step in [
        traffic.point_at(Side::Target, DEADLINE).await,
        traffic.release(Side::Target, DEADLINE).await,
    ] {
        let error = step.expect_err("nobody answers");
        assert!(error.why.contains("PgBouncer at 127.0.0.1"), "{error}");
    }
    // The line was changed before the console was asked, so a restart keeps the decision.
    pooler.start_again();
    traffic
        .point_at(Side::Target, DEADLINE)
        .await
        .expect("it is back");
    traffic
        .release(Side::Target, DEADLINE)
        .await
        .expect("it is back");
    traffic
        .verify(Side::Target, DEADLINE)
        .await
        .expect("it is back");
    assert_eq!(
        side_behind(&pooler.uri("orders")).await.as_deref(),
        Some("target")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_never_lets_clients_go_on_at_the_other_side() {
    skip_unless_installed!("pgbouncer");
    let sides = Sides::start().await;
    let pooler = Pooler::start(&line(&sides, "orders"), "");
    let traffic = adapter(&sides, &pooler);
    // A crash came between hold and switch, and whoever goes on knows the target serves.
    traffic
        .hold(Side::Source, DEADLINE)
        .await
        .expect("nobody is busy");
    traffic
        .release(Side::Target, DEADLINE)
        .await
        .expect("it points them first");
    assert_eq!(
        side_behind(&pooler.uri("orders")).await.as_deref(),
        Some("target")
    );
    traffic
        .release(Side::Target, DEADLINE)
        .await
        .expect("again does no harm");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_databases_move_together_and_others_stay() {
    skip_unless_installed!("pgbouncer");
    let sides = Sides::start().await;
    let lines = ["orders", "ro-orders", "other"].map(|name| line(&sides, name));
    let pooler = Pooler::start(&lines.concat(), "");
    let traffic = adapter_as("admin", &sides, &pooler, &["orders", "ro-orders"]);
    let old = trunkline_testkit::connect(&pooler.uri("ro-orders")).await;
    assert_eq!(side_of(&old).await.expect("it is served"), "source");
    traffic
        .hold(Side::Source, DEADLINE)
        .await
        .expect("nobody is busy");
    traffic
        .point_at(Side::Target, DEADLINE)
        .await
        .expect("both have a line");
    traffic
        .release(Side::Target, DEADLINE)
        .await
        .expect("they can go on");
    traffic
        .verify(Side::Target, DEADLINE)
        .await
        .expect("no old connection serves");
    assert_eq!(side_of(&old).await.expect("it was not cut"), "target");
    assert_eq!(
        side_behind(&pooler.uri("orders")).await.as_deref(),
        Some("target")
    );
    assert_eq!(
        side_behind(&pooler.uri("other")).await.as_deref(),
        Some("source")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_finds_what_would_fail_in_the_pause() {
    skip_unless_installed!("pgbouncer");
    let sides = Sides::start().await;
    let pooler = Pooler::start(
        &format!("{}* = host=127.0.0.1\n", line(&sides, "orders")),
        "",
    );
    let why = async |traffic: PgBouncer| {
        let looked = traffic.look(Side::Source, DEADLINE).await;
        looked.expect_err("it would fail").why
    };
    let watcher = why(adapter_as("watcher", &sides, &pooler, &["orders"])).await;
    assert!(watcher.contains("admin access"), "{watcher}");
    let lineless = why(adapter_as("admin", &sides, &pooler, &["else"])).await;
    assert!(
        lineless.contains("no line `else") && lineless.contains("`*`"),
        "{lineless}"
    );
    let mut plan = sides.addresses();
    plan.source.host = "old.example".to_owned();
    let astray = why(PgBouncer::new(PgBouncerPlan {
        admin: Conninfo::resolve(&pooler.console("admin")).expect("it is whole"),
        config: pooler.config(),
        databases: vec!["orders".to_owned()],
        addresses: plan,
    }))
    .await;
    assert!(astray.contains("`source = \"127.0.0.1:"), "{astray}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_pooler_does_not_read_is_found_out() {
    skip_unless_installed!("pgbouncer");
    let sides = Sides::start().await;
    let pooler = Pooler::start(&line(&sides, "orders"), "");
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy.ini");
    fs::copy(pooler.config(), &copy).expect("it can be read");
    let traffic = PgBouncer::new(PgBouncerPlan {
        admin: Conninfo::resolve(&pooler.console("admin")).expect("it is whole"),
        config: copy,
        databases: vec!["orders".to_owned()],
        addresses: sides.addresses(),
    });
    let error = traffic
        .point_at(Side::Target, DEADLINE)
        .await
        .expect_err("nothing moved");
    assert!(
        error.why.contains("not the file that this PgBouncer reads"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consoles_password_is_used_and_never_told() {
    skip_unless_installed!("pgbouncer");
    let sides = Sides::start().await;
    let pooler = Pooler::start(&line(&sides, "orders"), "auth_type = md5");
    let console = |password: &str| {
        let text = pooler.console(&format!("admin:{password}"));
        PgBouncer::new(PgBouncerPlan {
            admin: Conninfo::resolve(&text).expect("it is whole"),
            config: pooler.config(),
            databases: vec!["orders".to_owned()],
            addresses: sides.addresses(),
        })
    };
    console("secret")
        .look(Side::Source, DEADLINE)
        .await
        .expect("it is right");
    let wrong = console("hunter2");
    let error = wrong
        .look(Side::Source, DEADLINE)
        .await
        .expect_err("it is wrong");
    assert!(!format!("{error} {wrong:?}").contains("hunter2"), "{error}");
}
