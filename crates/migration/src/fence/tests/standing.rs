//! Who comes in, and who writes, where a standing fence is.

use trunkline_changes::Side;
use trunkline_postgres::{ReplicationSession, Session};
use trunkline_testkit::skip_unless_available;

use super::super::AfterSwitch;
use super::{DATABASE, Hands, Rights, Role, Scene};

const WRITE: &str = "INSERT INTO public.t VALUES (1)";

/// Ordinary roles are refused, whatever their own settings are; our role works as before;
/// superusers begin read-only.
async fn only_trunkline_writes(major: u32, role: Role, rights: Rights) {
    let scene = Scene::new(major, role, rights);
    let mut hands = Hands::of(&scene, "postgres").await;
    hands.raised().await;
    let (stands, state) = match role {
        Role::Plain => (AfterSwitch::OpenToTrunkline, "42501"),
        Role::Superuser => (AfterSwitch::ReadableBySuperusers, "53300"),
    };
    assert_eq!(hands.stand().await, stands);
    for other in ["app_owner", "admin", "reader", "Chatty"] {
        let refused = scene.refusal(other).await;
        assert_eq!(refused.as_deref(), Some(state), "{other} with {rights:?}");
    }
    let mut ours = scene.ours(DATABASE).await;
    ours.batch(WRITE).await.expect("our role writes");
    let stream = ReplicationSession::connect(&hands.conninfo, "test").await;
    stream.expect("our role streams");
    let superuser = trunkline_testkit::connect(&scene.cluster.uri(DATABASE)).await;
    let refused = superuser.batch_execute(WRITE).await;
    let refused = refused.expect_err("a superuser that says nothing writes");
    assert_eq!(
        refused.code().map(|code| code.code().to_owned()),
        Some("25006".to_owned())
    );
    hands.lift().await;
    let open = scene.enter("app_owner", DATABASE).await;
    let mut open: Session = open.expect("the owner comes in again");
    open.batch(WRITE).await.expect("the owner writes again");
}

async fn whoever_we_are(major: u32) {
    for role in [Role::Plain, Role::Superuser] {
        for rights in [Rights::Untouched, Rights::Elaborate] {
            only_trunkline_writes(major, role, rights).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_trunkline_writes_behind_a_standing_fence_on_12() {
    skip_unless_available!(12);
    whoever_we_are(12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_trunkline_writes_behind_a_standing_fence_on_15() {
    skip_unless_available!(15);
    whoever_we_are(15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_trunkline_writes_behind_a_standing_fence_on_18() {
    skip_unless_available!(18);
    whoever_we_are(18).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superuser_whose_settings_would_let_it_write_keeps_the_database_closed() {
    let major = trunkline_testkit::any_major();
    skip_unless_available!(major);
    let scene = Scene::new(major, Role::Plain, Rights::Untouched);
    let mut hands = Hands::of(&scene, "postgres").await;
    hands.raised().await;
    hands.stand().await;
    scene.cluster.psql(
        "postgres",
        "CREATE ROLE chief LOGIN SUPERUSER; ALTER ROLE chief SET default_transaction_read_only = of",
    );
    assert_eq!(hands.stand().await, AfterSwitch::Closed);
    assert_eq!(scene.refusal("chief").await.as_deref(), Some("55000"));
    let opened = super::super::let_ourselves_in(&mut hands.outside, Side::Target, &hands.before);
    opened.await.expect("to clean up, it is opened");
    assert_eq!(scene.refusal("trunkline").await, None);
}
