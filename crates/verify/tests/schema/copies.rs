//! What a dump and a restore carry over shows no difference, between any two versions.

use trunkline_testkit::types::TypeMatrix;
use trunkline_testkit::{Cluster, skip_unless_available, world};

use crate::scene::{OBJECTS, ROLES, copy_structure, differences, expressions, lines};

async fn a_copy_is_the_same(source_major: u32, target_major: u32) {
    let source = Cluster::start(source_major);
    let target = Cluster::start(target_major);
    let client = source.client("postgres").await;
    TypeMatrix::for_major(source_major.min(target_major))
        .create_in(&client)
        .await;
    world::create_schema(&client).await;
    for server in [&source, &target] {
        server.psql("postgres", ROLES);
    }
    source.psql("postgres", OBJECTS);
    source.psql("postgres", &expressions(source_major));
    copy_structure(&source, &target);

    let found = differences(&source.uri("postgres"), &target.uri("postgres")).await;
    println!("{}", lines(&found));
    let (certain, uncertain): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.certain);
    assert_eq!(lines(&certain), "");
    if source_major == target_major {
        assert_eq!(lines(&uncertain), "");
    }
}

#[tokio::test]
async fn a_copy_of_12_on_18_is_the_same() {
    skip_unless_available!(12, 18);
    a_copy_is_the_same(12, 18).await;
}

#[tokio::test]
async fn a_copy_of_13_on_16_is_the_same() {
    skip_unless_available!(13, 16);
    a_copy_is_the_same(13, 16).await;
}

#[tokio::test]
async fn a_copy_of_15_on_15_is_the_same() {
    skip_unless_available!(15);
    a_copy_is_the_same(15, 15).await;
}

#[tokio::test]
async fn a_copy_of_14_on_17_is_the_same() {
    skip_unless_available!(14, 17);
    a_copy_is_the_same(14, 17).await;
}

#[tokio::test]
async fn a_copy_of_18_on_18_is_the_same() {
    skip_unless_available!(18);
    a_copy_is_the_same(18, 18).await;
}
