//! The type matrix can be made on every version, changed in rounds, and published.

use trunkline_testkit::contents::fingerprint;
use trunkline_testkit::types::TypeMatrix;
use trunkline_testkit::{Cluster, skip_unless_available};

async fn holds_the_matrix(major: u32) {
    let cluster = Cluster::start(major);
    let client = cluster.client("postgres").await;
    let matrix = TypeMatrix::for_major(major);
    matrix.create_in(&client).await;
    // With a publication, a change that the stream could not carry is refused.
    for statement in [
        "CREATE PUBLICATION p FOR ALL TABLES",
        "SELECT pg_create_logical_replication_slot('s', 'pgoutput')",
    ] {
        client.batch_execute(statement).await.expect(statement);
    }
    let mut before = fingerprint(&client, &[]).await;
    assert!(before.len() > 50);
    for round in 1..=3 {
        matrix.mutate_in(&client, round).await;
        let after = fingerprint(&client, &[]).await;
        assert_ne!(before, after);
        before = after;
    }
    let changes = "SELECT count(*) FROM pg_logical_slot_peek_binary_changes('s', NULL, NULL, \
                   'proto_version', '1', 'publication_names', 'p')";
    let count: i64 = client
        .query_one(changes, &[])
        .await
        .expect("changes")
        .get(0);
    assert!(count > 1_000, "{count}");
}

macro_rules! holds_the_matrix {
    ($($name:ident $major:literal)+) => {$(
        #[tokio::test]
        async fn $name() {
            skip_unless_available!($major);
            holds_the_matrix($major).await;
        }
    )+};
}

holds_the_matrix! {
    version_12_holds_the_matrix 12
    version_13_holds_the_matrix 13
    version_14_holds_the_matrix 14
    version_15_holds_the_matrix 15
    version_16_holds_the_matrix 16
    version_17_holds_the_matrix 17
    version_18_holds_the_matrix 18
}
