//! Before clients are held: what a standing fence would let through is named.

use trunkline_changes::Side;
use trunkline_postgres::Session;
use trunkline_testkit::{any_major, skip_unless_available};

use super::super::{FenceError, Strength, may_stand, strength};
use super::{DATABASE, Rights, Role, Scene};

async fn holes(inside: &mut Session) -> Vec<String> {
    match may_stand(inside, Side::Source).await {
        Ok(_) => Vec::new(),
        Err(FenceError::WouldNotStand(Side::Source, holes)) => holes,
        Err(error) => panic!("{error}"),
    }
}

fn assert_named(holes: &[String], names: &[&str]) {
    assert_eq!(holes.len(), names.len(), "{holes:#?}");
    for name in names {
        assert!(
            holes.iter().any(|hole| hole.contains(name)),
            "{name}: {holes:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_would_get_through_to_a_plain_role_is_named() {
    skip_unless_available!(any_major());
    let scene = Scene::new(any_major(), Role::Plain, Rights::Elaborate);
    let mut inside = scene.ours(DATABASE).await;
    assert_named(&holes(&mut inside).await, &[]);
    scene.cluster.psql(
        "postgres",
        "CREATE ROLE through_us LOGIN; GRANT trunkline TO through_us;
         CREATE ROLE only_named LOGIN NOINHERIT;
         CREATE ROLE chief LOGIN SUPERUSER; ALTER ROLE chief SET default_transaction_read_only = 0;
         CREATE ROLE stranger LOGIN;
         GRANT CONNECT ON DATABASE \"The App\" TO stranger WITH GRANT OPTION;
         SET ROLE stranger; GRANT CONNECT ON DATABASE \"The App\" TO only_named",
    );
    let application = scene
        .cluster
        .uri(DATABASE)
        .replace("postgres@", "trunkline@");
    let _application = trunkline_testkit::connect(&application).await;
    let subscribe = "CREATE SUBSCRIPTION inbound CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p \
                     WITH (connect = false)";
    scene.cluster.psql(DATABASE, subscribe);
    let named = holes(&mut inside).await;
    assert_named(
        &named,
        &[
            "through_us",
            "chief",
            "stranger granted to only_named",
            "as trunkline",
        ],
    );
    scene
        .cluster
        .psql(DATABASE, "ALTER SUBSCRIPTION inbound ENABLE");
    let named = holes(&mut inside).await;
    assert!(
        named.iter().any(|hole| hole.contains("inbound")),
        "{named:#?}"
    );
    let off = "ALTER SUBSCRIPTION inbound DISABLE; \
               ALTER SUBSCRIPTION inbound SET (slot_name = NONE); DROP SUBSCRIPTION inbound";
    for statement in off.split("; ") {
        scene.cluster.psql(DATABASE, statement);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superusers_fence_binds_an_application_that_is_a_superuser_by_default_only_and_tells() {
    skip_unless_available!(any_major());
    let scene = Scene::new(any_major(), Role::Superuser, Rights::Untouched);
    let mut inside = scene.ours(DATABASE).await;
    let _application = trunkline_testkit::connect(&scene.cluster.uri(DATABASE)).await;
    let told = may_stand(&mut inside, Side::Source)
        .await
        .expect("it may stand");
    assert_eq!(told.superusers.len(), 1, "{told:?}");
    assert_eq!(told.superusers[0].user, "postgres");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_strength_is_what_the_role_may_do() {
    skip_unless_available!(any_major());
    let scene = Scene::new(any_major(), Role::Plain, Rights::Untouched);
    let (mut inside, mut outside) = (scene.ours(DATABASE).await, scene.ours("postgres").await);
    let closed = strength(&mut inside, Some(&mut outside), Side::Source).await;
    assert_eq!(closed.expect("it can be fenced"), Strength::Closed);
    let limited = strength(&mut inside, None, Side::Source).await;
    assert_eq!(limited.expect("it can be fenced"), Strength::Limited);
    scene
        .cluster
        .psql("postgres", "REVOKE app_owner FROM trunkline");
    let refused = strength(&mut inside, Some(&mut outside), Side::Source).await;
    let refused = refused.expect_err("only the owner may").to_string();
    assert!(
        refused.contains("GRANT \"app_owner\" TO \"trunkline\""),
        "{refused}"
    );
}
