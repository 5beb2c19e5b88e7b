//! PostgreSQL's own replication carries every change of the matrix, apart from tables whose
//! rows it cannot find again: so the stream has all that an apply needs.

use std::time::Duration;

use trunkline_testkit::contents::assert_same_contents;
use trunkline_testkit::types::{TypeMatrix, WITHOUT_EQUALITY};
use trunkline_testkit::{Cluster, any_major, until};

#[tokio::test]
async fn a_subscription_arrives_at_the_same_contents() {
    let (source, target) = (Cluster::start_any(), Cluster::start_any());
    let matrix = TypeMatrix::for_major(any_major());
    let here = source.client("postgres").await;
    let there = target.client("postgres").await;
    for client in [&here, &there] {
        matrix.create_in(client).await;
        for table in WITHOUT_EQUALITY {
            let drop = format!("DROP TABLE {table}");
            client.batch_execute(&drop).await.expect("it is there");
        }
    }
    let publish = "CREATE PUBLICATION p FOR ALL TABLES";
    here.batch_execute(publish).await.expect("a publication");
    let subscribe = format!(
        "CREATE SUBSCRIPTION s CONNECTION '{}' PUBLICATION p WITH (copy_data = false)",
        source.uri("postgres")
    );
    there
        .batch_execute(&subscribe)
        .await
        .expect("a subscription");
    for (_, script) in matrix.mutate(1).into_iter().chain(matrix.mutate(2)) {
        if !WITHOUT_EQUALITY.iter().any(|table| script.contains(table)) {
            here.batch_execute(&script).await.expect(&script);
        }
    }
    let end = source.psql("postgres", "SELECT pg_current_wal_flush_lsn()");
    let arrived =
        format!("SELECT coalesce(bool_or(replay_lsn >= '{end}'), false) FROM pg_stat_replication");
    until(Duration::from_mins(1), async || {
        source.psql("postgres", &arrived) == "t"
    })
    .await;
    assert_same_contents(&here, &there).await;
}
