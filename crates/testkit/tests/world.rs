//! The writers write what they count, survive faults, and the comparison sees any difference.

use std::time::Duration;

use trunkline_testkit::contents::{assert_same_contents, catalog, fingerprint, sequences};
use trunkline_testkit::world::{self, Writers};
use trunkline_testkit::{Cluster, FaultyProxy, until};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn writers_commit_and_few_transactions_fail() {
    let cluster = Cluster::start_any();
    let uri = cluster.create_database("shop").await;
    let client = cluster.client("shop").await;
    world::create(&client, 1).await;
    let before = fingerprint(&client, &["shop"]).await;
    let writers = Writers::to(&uri).start();
    until(SOON, async || writers.committed() > 300).await;
    let outcome = writers.stop().await;
    assert!(outcome.failed < outcome.committed / 5, "{outcome:#?}");
    assert_eq!((outcome.disconnects, outcome.in_doubt), (0, 0));
    let after = fingerprint(&client, &["shop"]).await;
    assert!(before.keys().eq(after.keys()));
    for (table, old) in &before {
        assert_ne!(Some(old), after.get(table), "{table} was never written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_go_on_after_a_cut_and_on_another_server() {
    let (one, two) = (Cluster::start_any(), Cluster::start_any());
    for cluster in [&one, &two] {
        world::create(&cluster.client("postgres").await, 1).await;
    }
    let proxy = FaultyProxy::start(one.port()).await;
    let writers = Writers::to(&proxy.uri("postgres")).reconnecting().start();
    until(SOON, async || writers.committed() > 50).await;
    proxy.cut();
    let cut_at = writers.committed();
    until(SOON, async || writers.committed() > cut_at + 50).await;
    assert!(writers.outcome().disconnects > 0);
    writers.point_at(&two.uri("postgres"));
    let count = "SELECT count(*) FROM shop.journal WHERE id > 500";
    until(SOON, async || two.psql("postgres", count) != "0").await;
    writers.stop().await;
}

#[tokio::test]
async fn equal_contents_pass_and_each_difference_is_shown() {
    let cluster = Cluster::start_any();
    let mut clients = Vec::new();
    for name in ["one", "two"] {
        cluster.create_database(name).await;
        let client = cluster.client(name).await;
        client
            .batch_execute(
                "CREATE TABLE t (id int PRIMARY KEY, n numeric, f float8); \
                 INSERT INTO t VALUES (1, 1.0, 0), (2, 'NaN', 'NaN')",
            )
            .await
            .expect("a table");
        clients.push(client);
    }
    assert_same_contents(&clients[0], &clients[1]).await;
    let change = "UPDATE t SET n = 1.00, f = '-0' WHERE id = 1";
    clients[1].batch_execute(change).await.expect("a change");
    let target = clients.pop().expect("two");
    let source = clients.pop().expect("one");
    let failed = tokio::spawn(async move { assert_same_contents(&source, &target).await });
    let panic = failed.await.expect_err("a panic").into_panic();
    let text = panic.downcast_ref::<String>().expect("a message");
    assert!(text.contains("only on the source: (0,1,1.0)"), "{text}");
    assert!(text.contains("only on the target: (-0,1,1.00)"), "{text}");
}

#[tokio::test]
async fn the_catalog_shows_what_is_left_behind_and_nothing_else() {
    let cluster = Cluster::start_any();
    let client = cluster.client("postgres").await;
    world::create(&client, 1).await;
    let before = catalog(&client).await;
    let query = "SELECT nextval('shop.orders_id_seq'); DELETE FROM shop.orders; ANALYZE";
    client.batch_execute(query).await.expect("it works");
    assert_eq!(before, catalog(&client).await);
    for leftover in [
        "CREATE PUBLICATION p FOR ALL TABLES",
        "SELECT pg_create_logical_replication_slot('s', 'pgoutput')",
        "ALTER TABLE shop.orders DISABLE TRIGGER note_order",
        "ALTER DATABASE postgres SET default_transaction_read_only = off",
        "ALTER DATABASE postgres CONNECTION LIMIT 7",
        "CREATE SCHEMA trunkline",
        "ALTER TABLE shop.orders REPLICA IDENTITY FULL",
        "GRANT SELECT ON shop.orders TO public",
        "CREATE ROLE somebody",
    ] {
        let before = catalog(&client).await;
        client.batch_execute(leftover).await.expect(leftover);
        assert_ne!(before, catalog(&client).await, "{leftover}");
    }
    let positions = sequences(&client).await;
    assert_eq!(positions["shop.orders_id_seq"].last_value, 501);
}
