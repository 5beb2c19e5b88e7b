//! Every supported version starts, answers, and allows logical replication.

use trunkline_testkit::{Cluster, skip_unless_available};

async fn boots(major: u32) {
    let cluster = Cluster::start(major);
    cluster.create_database("Shop's \"own\"").await;
    let client = cluster.client("Shop's \"own\"").await;
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int / 10000, lsn IS NOT NULL \
             FROM pg_create_logical_replication_slot('s', 'pgoutput')",
            &[],
        )
        .await
        .expect("a slot can be made");
    assert_eq!(row.get::<_, i32>(0), i32::try_from(major).expect("small"));
    assert!(row.get::<_, bool>(1));
    assert_eq!(cluster.psql("postgres", "SHOW server_encoding"), "UTF8");
}

macro_rules! boots {
    ($($name:ident $major:literal)+) => {$(
        #[tokio::test]
        async fn $name() {
            skip_unless_available!($major);
            boots($major).await;
        }
    )+};
}

boots! {
    version_12_boots 12
    version_13_boots 13
    version_14_boots 14
    version_15_boots 15
    version_16_boots 16
    version_17_boots 17
    version_18_boots 18
}

#[tokio::test]
async fn two_servers_have_different_system_identifiers() {
    let (one, two) = (Cluster::start_any(), Cluster::start_any());
    let query = "SELECT system_identifier FROM pg_control_system()";
    assert_ne!(one.psql("postgres", query), two.psql("postgres", query));
}
