//! The pause's fence: what it ends, what it names, and how a hole in it is seen.

use std::time::Duration;

use trunkline_changes::Side;
use trunkline_postgres::ReplicationSession;
use trunkline_testkit::{any_major, skip_unless_available};

use super::super::{FenceError, Strength, lift, strength};
use super::{DATABASE, Hands, Rights, Role, Scene};

const BRIEFLY: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raised_fence_lets_nobody_in_and_holds() {
    skip_unless_available!(any_major());
    for role in [Role::Plain, Role::Superuser] {
        let scene = Scene::new(any_major(), role, Rights::Untouched);
        let mut hands = Hands::of(&scene, "postgres").await;
        let mut client = scene
            .enter("Chatty", DATABASE)
            .await
            .expect("before the fence");
        let fenced = hands.raised().await;
        assert!(
            client.batch("SELECT").await.is_err(),
            "an open session goes on"
        );
        for other in ["postgres", "trunkline", "app_owner", "Chatty"] {
            assert_eq!(
                scene.refusal(other).await.as_deref(),
                Some("55000"),
                "{other}"
            );
        }
        let write = "INSERT INTO public.t VALUES (1)";
        hands
            .inside
            .batch(write)
            .await
            .expect("an open session of ours goes on");
        let seen = hands.fence().still_holds(&fenced).await.expect("it holds");
        assert!(seen.ids_taken_since_fence >= 1, "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_that_is_opened_behind_the_fence_is_seen() {
    skip_unless_available!(any_major());
    let scene = Scene::new(any_major(), Role::Plain, Rights::Untouched);
    let mut hands = Hands::of(&scene, "postgres").await;
    let fenced = hands.raised().await;
    let open = "ALTER DATABASE \"The App\" ALLOW_CONNECTIONS true";
    scene.cluster.psql("postgres", open);
    let seen = hands.fence().still_holds(&fenced).await;
    assert!(
        matches!(seen, Err(FenceError::Open(Side::Target))),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_may_not_be_ended_is_named() {
    skip_unless_available!(any_major());
    let scene = Scene::new(any_major(), Role::Plain, Rights::Untouched);
    let mut hands = Hands::of(&scene, "postgres").await;
    let chief = scene
        .enter("postgres", DATABASE)
        .await
        .expect("before the fence");
    let refused = hands.raise(BRIEFLY).await.expect_err("a superuser stays");
    let text = refused.to_string();
    for part in [&chief.process_id().to_string(), "of postgres", "target"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    hands.lift().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walsender_that_does_not_stream_could_write_and_is_ended() {
    skip_unless_available!(any_major());
    let scene = Scene::new(any_major(), Role::Superuser, Rights::Untouched);
    let mut hands = Hands::of(&scene, "postgres").await;
    scene
        .cluster
        .psql("postgres", "CREATE ROLE streams LOGIN REPLICATION");
    let theirs = scene.conninfo("streams", DATABASE);
    let theirs = ReplicationSession::connect(&theirs, "like ours").await;
    let mut theirs = theirs.expect("before the fence");
    hands.raised().await;
    assert!(theirs.identify_system().await.is_err(), "it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_holds_a_slot_could_write_and_is_ended() {
    skip_unless_available!(any_major());
    let scene = Scene::new(any_major(), Role::Superuser, Rights::Untouched);
    let mut hands = Hands::of(&scene, "postgres").await;
    scene
        .cluster
        .psql("postgres", "CREATE ROLE polls LOGIN REPLICATION");
    let mut theirs = scene
        .enter("polls", DATABASE)
        .await
        .expect("before the fence");
    let make = "SELECT pg_catalog.pg_create_logical_replication_slot('polled', 'pgoutput', true)";
    theirs.batch(make).await.expect("a temporary slot");
    hands.raised().await;
    assert!(theirs.batch("SELECT").await.is_err(), "it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prepared_transaction_is_named() {
    skip_unless_available!(any_major());
    let scene = Scene::new(any_major(), Role::Plain, Rights::Untouched);
    let mut hands = Hands::of(&scene, "postgres").await;
    let mut client = scene
        .enter("app_owner", DATABASE)
        .await
        .expect("before the fence");
    let prepare = "BEGIN; INSERT INTO public.t VALUES (1); PREPARE TRANSACTION 'pending'";
    client.batch(prepare).await.expect("it is prepared");
    let refused = hands.raise(BRIEFLY).await.expect_err("it could commit");
    assert!(
        matches!(&refused, FenceError::Prepared(Side::Target, names) if names == &["pending"]),
        "{refused}"
    );
    hands.lift().await;
    client = scene
        .enter("app_owner", DATABASE)
        .await
        .expect("it is lifted");
    client
        .batch("ROLLBACK PREPARED 'pending'")
        .await
        .expect("it is still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_another_database_the_fence_is_limited_and_keeps_ordinary_roles_out() {
    skip_unless_available!(any_major());
    for role in [Role::Plain, Role::Superuser] {
        let scene = Scene::new(any_major(), role, Rights::Elaborate);
        let state = scene.state();
        let mut hands = Hands::of(&scene, DATABASE).await;
        let mut client = scene
            .enter("Chatty", DATABASE)
            .await
            .expect("before the fence");
        let can = strength(&mut hands.inside, Some(&mut hands.outside), Side::Target).await;
        assert_eq!(can.expect("it can be fenced"), Strength::Limited);
        let fenced = hands.raised().await;
        assert!(
            client.batch("SELECT").await.is_err(),
            "an open session goes on"
        );
        for other in ["app_owner", "admin", "reader", "Chatty"] {
            assert!(scene.refusal(other).await.is_some(), "{other} comes in");
        }
        hands.fence().still_holds(&fenced).await.expect("it holds");
        // As after a crash: our role still finds its way in, and lifts it.
        let Hands {
            before,
            inside,
            outside,
            ..
        } = hands;
        drop((inside, outside));
        let mut later = scene.ours(DATABASE).await;
        lift(&mut later, Side::Target, &before)
            .await
            .expect("it is lifted");
        assert_eq!(scene.state(), state);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_gets_in_or_is_refused_for_another_reason_is_no_proof() {
    skip_unless_available!(any_major());
    let scene = Scene::new(any_major(), Role::Plain, Rights::Untouched);
    let mut hands = Hands::of(&scene, "postgres").await;
    let fenced = hands.raised().await;
    hands.conninfo = scene.conninfo("nobody_of_that_name", DATABASE);
    let unclear = hands.fence().still_holds(&fenced).await;
    assert!(
        matches!(&unclear, Err(FenceError::DoorUnclear(Side::Target, why)) if why.contains("28000")),
        "{unclear:?}"
    );
    hands.conninfo = scene.conninfo("trunkline", "postgres");
    let let_in = hands.fence().still_holds(&fenced).await;
    assert!(
        matches!(let_in, Err(FenceError::LetIn(Side::Target))),
        "{let_in:?}"
    );
}
