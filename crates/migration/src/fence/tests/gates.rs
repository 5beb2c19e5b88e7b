//! Before clients are held: what a standing fence would let through is named.

use trunkline_changes::Side;
use trunkline_postgres::Session;
use trunkline_testkit::{any_major, skip_unless_available};

use super::super::{FenceError, Strength, lift, may_be_raised, may_stand, strength};
use super::{DATABASE, Hands, Rights, Role, Scene};

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
    match refused.expect_err("only the owner may") {
        FenceError::NotAllowed { remedy, .. } => {
            assert_eq!(remedy, "GRANT \"app_owner\" TO \"trunkline\";");
        }
        error => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_that_may_not_be_raised_is_known_and_lifting_what_never_stood_takes_no_right() {
    skip_unless_available!(any_major());
    for rights in [Rights::Untouched, Rights::Elaborate] {
        let scene = Scene::new(any_major(), Role::Plain, rights);
        let hands = Hands::of(&scene, "postgres").await;
        let (mut inside, mut outside) = (hands.inside, hands.outside);
        let client = scene.enter("Chatty", DATABASE).await;
        let _client = client.expect("the application comes in");
        let allowed = may_be_raised(&mut inside, Side::Target).await;
        allowed.expect("everything is granted");
        let lacking = [
            (
                "pg_signal_backend",
                "GRANT pg_signal_backend TO \"trunkline\";",
            ),
            ("app_owner", "GRANT \"app_owner\" TO \"trunkline\";"),
        ];
        for (role, mends) in lacking {
            let revoke = format!("REVOKE {role} FROM trunkline");
            scene.cluster.psql("postgres", &revoke);
            match may_be_raised(&mut inside, Side::Target).await {
                Err(FenceError::NotAllowed { remedy, .. }) => assert_eq!(remedy, mends),
                other => panic!("{other:?}"),
            }
        }
        let state = scene.state();
        let lifted = lift(&mut outside, Side::Target, &hands.before).await;
        lifted.expect("nothing stands, so nothing is to be lifted");
        assert_eq!(scene.state(), state);
        // Now our role may, by owning it: what the former owner granted is not granted again.
        let owned = "ALTER DATABASE \"The App\" OWNER TO trunkline";
        scene.cluster.psql("postgres", owned);
        let state = scene.state();
        let lifted = lift(&mut outside, Side::Target, &hands.before).await;
        lifted.expect("the new owner lifts it");
        assert_eq!(scene.state(), state);
    }
}
