//! The hand-over between two real servers.

use super::*;
use trunkline_postgres::Conninfo;
use trunkline_testkit::{Cluster, skip_unless_available};

struct Pair {
    old: Cluster,
    new: Cluster,
    from: Session,
    to: Session,
}

const TABLE: &str = "CREATE TABLE orders (id int PRIMARY KEY)";

async fn session(cluster: &Cluster) -> Session {
    let conninfo = Conninfo::resolve(&cluster.uri("postgres")).expect("a connection string");
    Session::connect(&conninfo, "test")
        .await
        .expect("it connects")
}

async fn pair_of(old: Cluster, new: Cluster) -> Pair {
    old.psql("postgres", TABLE);
    new.psql("postgres", TABLE);
    let (from, to) = (session(&old).await, session(&new).await);
    Pair { old, new, from, to }
}

async fn pair() -> Pair {
    pair_of(Cluster::start_any(), Cluster::start_any()).await
}

fn slot(cluster: &Cluster, name: &str) {
    let sql = format!("SELECT pg_create_logical_replication_slot('{name}', 'test_decoding')");
    cluster.psql("postgres", &sql);
}

fn changes(cluster: &Cluster, read: &str) -> Vec<String> {
    let sql = format!(
        "SELECT data FROM pg_logical_slot_{read}_changes('debezium', NULL, NULL) \
         WHERE data LIKE 'table %'"
    );
    let text = cluster.psql("postgres", &sql);
    text.lines().map(str::to_owned).collect()
}

fn position(cluster: &Cluster) -> Lsn {
    let text = cluster.psql("postgres", "SELECT pg_current_wal_flush_lsn()");
    text.parse().expect("a position")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_consumer_sees_each_change_once_when_it_goes_on_with_the_new_slot() {
    let mut pair = pair().await;
    slot(&pair.old, "debezium");
    pair.old.psql("postgres", "INSERT INTO orders VALUES (1)");
    assert_eq!(changes(&pair.old, "get").len(), 1);
    let wanted = names(&["debezium"]);
    let slots = examine(&mut pair.from, &mut pair.to, Side::Target, &wanted, &[]).await;
    let slots = slots.expect("it can be made");
    make(&mut pair.to, Side::Target, &slots)
        .await
        .expect("it is made");
    // What we brought to the new server is no news for the consumer.
    pair.new.psql("postgres", "INSERT INTO orders VALUES (1)");
    catch_up(&mut pair.to, Side::Target, &slots)
        .await
        .expect("it moves");
    pair.old.psql("postgres", "INSERT INTO orders VALUES (2)");
    pair.new.psql(
        "postgres",
        "SET synchronous_commit = off; INSERT INTO orders VALUES (2)",
    );
    let barrier = position(&pair.old);
    let rows = hand_over(&mut pair.from, &mut pair.to, Side::Target, barrier, &slots).await;
    let rows = rows.expect("it is handed over");
    assert!(!rows[0].caught_up, "{rows:?}");
    assert_eq!(
        changes(&pair.old, "get"),
        ["table public.orders: INSERT: id[integer]:2"]
    );
    pair.new.psql("postgres", "INSERT INTO orders VALUES (3)");
    assert_eq!(
        changes(&pair.new, "get"),
        ["table public.orders: INSERT: id[integer]:3"]
    );
}

#[tokio::test]
async fn a_consumer_that_confirmed_the_barrier_has_nothing_left_on_the_old_server() {
    let mut pair = pair().await;
    slot(&pair.old, "debezium");
    let wanted = names(&["debezium"]);
    let slots = examine(&mut pair.from, &mut pair.to, Side::Target, &wanted, &[]).await;
    let slots = slots.expect("it can be made");
    make(&mut pair.to, Side::Target, &slots)
        .await
        .expect("it is made");
    pair.old.psql("postgres", "INSERT INTO orders VALUES (1)");
    let barrier = position(&pair.old);
    let confirm = format!("SELECT pg_replication_slot_advance('debezium', '{barrier}')");
    pair.old.psql("postgres", &confirm);
    let rows = hand_over(&mut pair.from, &mut pair.to, Side::Target, barrier, &slots).await;
    let rows = rows.expect("it is handed over");
    assert!(rows[0].caught_up, "{rows:?}");
    assert_eq!(
        (rows[0].slot.as_str(), rows[0].barrier_lsn),
        ("debezium", barrier)
    );
    assert!(rows[0].new_position <= position(&pair.new));
}

#[tokio::test]
async fn a_slot_that_is_not_there_is_an_error_that_names_the_nearest() {
    let mut pair = pair().await;
    slot(&pair.old, "debezium");
    let wanted = names(&["debezum"]);
    let refused = examine(&mut pair.from, &mut pair.to, Side::Target, &wanted, &[]).await;
    let error = refused.expect_err("no such slot");
    assert!(
        error.hint().is_some_and(|hint| hint.contains("`debezium`")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_slot_of_somebody_else_is_neither_taken_nor_dropped_and_ours_is_both() {
    let mut pair = pair().await;
    slot(&pair.old, "debezium");
    slot(&pair.new, "debezium");
    let wanted = names(&["debezium"]);
    let refused = examine(&mut pair.from, &mut pair.to, Side::Target, &wanted, &[]).await;
    let error = refused.expect_err("it is not ours").to_string();
    assert!(error.contains("did not make it"), "{error}");
    drop_made(&mut pair.to, Side::Target, &[])
        .await
        .expect("nothing of ours is there");
    let standing = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(pair.new.psql("postgres", standing), "1");

    let receipt = DownstreamSlot {
        name: "debezium".to_owned(),
        plugin: "test_decoding".to_owned(),
        two_phase: false,
        failover: false,
    };
    let receipts = [receipt];
    let again = examine(
        &mut pair.from,
        &mut pair.to,
        Side::Target,
        &wanted,
        &receipts,
    )
    .await;
    let slots = again.expect("it is ours");
    make(&mut pair.to, Side::Target, &slots)
        .await
        .expect("it stands there");
    drop_made(&mut pair.to, Side::Target, &receipts)
        .await
        .expect("it is dropped");
    assert_eq!(pair.new.psql("postgres", standing), "0");
    drop_made(&mut pair.to, Side::Target, &receipts)
        .await
        .expect("it is gone");
}

#[tokio::test]
async fn a_plugin_that_the_server_lacks_is_named_and_nothing_is_left() {
    let mut pair = pair().await;
    let slot = |name: &str, plugin: &str| DownstreamSlot {
        name: name.to_owned(),
        plugin: plugin.to_owned(),
        two_phase: false,
        failover: false,
    };
    let slots = [
        slot("first", "test_decoding"),
        slot("second", "no_such_plugin"),
    ];
    let made = make(&mut pair.to, Side::Target, &slots).await;
    let error = made.expect_err("the plugin is not there");
    assert!(error.to_string().contains("no_such_plugin"), "{error}");
    assert!(
        error.hint().is_some_and(|hint| hint.contains("install")),
        "{error:?}"
    );
    let standing = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(pair.new.psql("postgres", standing), "0");
}

#[tokio::test]
async fn a_server_that_cannot_decode_is_told_apart_from_one_that_has_no_slot_free() {
    let replica = Cluster::builder(trunkline_testkit::any_major())
        .setting("wal_level", "replica")
        .start();
    let mut pair = pair_of(Cluster::start_any(), replica).await;
    slot(&pair.old, "debezium");
    let wanted = names(&["debezium"]);
    let slots = examine(&mut pair.from, &mut pair.to, Side::Target, &wanted, &[]).await;
    let made = make(&mut pair.to, Side::Target, &slots.expect("it may be tried")).await;
    let error = made.expect_err("no logical decoding");
    assert!(
        error.hint().is_some_and(|hint| hint.contains("wal_level")),
        "{error:?}"
    );
}

#[tokio::test]
async fn two_phase_is_carried_over_between_versions_that_have_it() {
    skip_unless_available!(12, 15, 18);
    let newer = pair_of(Cluster::start(15), Cluster::start(18)).await;
    let older = pair_of(Cluster::start(15), Cluster::start(12)).await;
    for (mut pair, kept) in [(newer, true), (older, false)] {
        let sql = "SELECT pg_create_logical_replication_slot('debezium', 'test_decoding', \
                   twophase => true)";
        pair.old.psql("postgres", sql);
        let wanted = names(&["debezium"]);
        let slots = examine(&mut pair.from, &mut pair.to, Side::Target, &wanted, &[]).await;
        let slots = slots.expect("it can be made");
        assert_eq!(slots[0].two_phase, kept);
        make(&mut pair.to, Side::Target, &slots)
            .await
            .expect("it is made");
        let barrier = position(&pair.old);
        let rows = hand_over(&mut pair.from, &mut pair.to, Side::Target, barrier, &slots).await;
        assert_eq!(rows.expect("it is handed over").len(), 1);
    }
}
