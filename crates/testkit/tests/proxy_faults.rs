//! The proxy fails as it is told, and forwards faithfully otherwise.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use trunkline_testkit::{Cluster, Direction, FaultyProxy, connect, try_connect, until};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn it_forwards_and_counts() {
    let cluster = Cluster::start_any();
    let proxy = FaultyProxy::start(cluster.port()).await;
    let client = connect(&proxy.uri("postgres")).await;
    let row = client.query_one("SELECT repeat('x', 1000000)", &[]).await;
    assert_eq!(row.expect("an answer").get::<_, String>(0).len(), 1_000_000);
    assert_eq!(proxy.connections(), 1);
    assert!(proxy.bytes(Direction::ToClient) > 1_000_000);
}

#[tokio::test]
async fn a_cut_ends_open_connections_and_new_ones_work() {
    let cluster = Cluster::start_any();
    let proxy = FaultyProxy::start(cluster.port()).await;
    let client = connect(&proxy.uri("postgres")).await;
    proxy.cut();
    until(SOON, async || client.is_closed()).await;
    let again = connect(&proxy.uri("postgres")).await;
    again.batch_execute("SELECT 1").await.expect("it works");
}

#[tokio::test]
async fn an_ordered_cut_comes_in_the_middle_of_an_answer() {
    let cluster = Cluster::start_any();
    let proxy = FaultyProxy::start(cluster.port()).await;
    let client = connect(&proxy.uri("postgres")).await;
    proxy.cut_after(500_000);
    let answer = client.query_one("SELECT repeat('x', 1000000)", &[]).await;
    assert!(answer.is_err());
}

#[tokio::test]
async fn a_frozen_network_carries_nothing_until_it_thaws() {
    let cluster = Cluster::start_any();
    let proxy = FaultyProxy::start(cluster.port()).await;
    let client = connect(&proxy.uri("postgres")).await;
    proxy.freeze();
    let mut answer = std::pin::pin!(client.batch_execute("SELECT 1"));
    let early = timeout(Duration::from_millis(200), &mut answer).await;
    assert!(early.is_err());
    proxy.thaw();
    answer.await.expect("it comes after all");
}

#[tokio::test]
async fn a_half_open_connection_hears_nothing() {
    let cluster = Cluster::start_any();
    let proxy = FaultyProxy::start(cluster.port()).await;
    let client = connect(&proxy.uri("postgres")).await;
    proxy.lose(Some(Direction::ToClient));
    let done = client.batch_execute("CREATE TABLE arrived ()");
    assert!(timeout(Duration::from_millis(200), done).await.is_err());
    until(SOON, async || {
        cluster.psql("postgres", "SELECT to_regclass('arrived') IS NOT NULL") == "t"
    })
    .await;
}

#[tokio::test]
async fn refusing_and_slowing_are_seen_by_clients() {
    let cluster = Cluster::start_any();
    let proxy = FaultyProxy::start(cluster.port()).await;
    proxy.refuse();
    until(SOON, async || {
        try_connect(&proxy.uri("postgres")).await.is_err()
    })
    .await;
    proxy.allow();
    until(SOON, async || {
        try_connect(&proxy.uri("postgres")).await.is_ok()
    })
    .await;
    proxy.delay(Duration::from_millis(100));
    let start = Instant::now();
    connect(&proxy.uri("postgres")).await;
    assert!(start.elapsed() > Duration::from_millis(200));
    proxy.delay(Duration::ZERO);
    proxy.rate(Some(100_000));
    let client = connect(&proxy.uri("postgres")).await;
    let start = Instant::now();
    let answer = client.query_one("SELECT repeat('x', 50000)", &[]).await;
    answer.expect("an answer");
    assert!(start.elapsed() > Duration::from_millis(400));
}
