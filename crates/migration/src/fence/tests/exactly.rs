//! Whatever was done, and wherever it was cut off, lifting gives back what was set before.

use trunkline_changes::Side;
use trunkline_testkit::skip_unless_available;

use super::super::before::Now;
use super::super::{lift, standing};
use super::{DATABASE, Hands, Rights, Role, Scene};

#[derive(Clone, Copy, Debug)]
enum Act {
    Raise,
    Stand,
    Retire,
}

const WAYS: [&[Act]; 6] = [
    &[Act::Raise],
    &[Act::Stand],
    &[Act::Raise, Act::Stand],
    &[Act::Stand, Act::Stand, Act::Raise],
    &[Act::Raise, Act::Stand, Act::Retire],
    &[Act::Raise, Act::Raise, Act::Retire, Act::Stand],
];

async fn every_way_is_undone(major: u32) {
    for role in [Role::Plain, Role::Superuser] {
        for rights in [Rights::Untouched, Rights::Elaborate] {
            let scene = Scene::new(major, role, rights);
            let before = scene.state();
            for way in WAYS {
                let mut hands = Hands::of(&scene, "postgres").await;
                for act in way {
                    perform(&mut hands, *act).await;
                    assert_ne!(
                        scene.state(),
                        before,
                        "{act:?} as {role:?} changes something"
                    );
                }
                // A new session, as after a crash; and twice.
                let mut later = scene.ours("postgres").await;
                for _ in 0..2 {
                    let lifted = lift(&mut later, Side::Target, &hands.before).await;
                    lifted.expect("the fence is lifted");
                    assert_eq!(scene.state(), before, "{way:?} as {role:?} with {rights:?}");
                }
            }
            cut_off_anywhere(&scene, &before).await;
        }
    }
}

async fn perform(hands: &mut Hands, act: Act) {
    match act {
        Act::Raise => {
            hands.raised().await;
        }
        Act::Stand => {
            hands.stand().await;
        }
        Act::Retire => {
            let retired = super::super::retire(&mut hands.outside, Side::Target, &hands.before);
            retired.await.expect("the fence is retired");
        }
    }
}

/// Each statement by itself, as no server would cut them: then lifted; and lifting cut off in
/// the same way, then stood, then lifted.
async fn cut_off_anywhere(scene: &Scene, before: &str) {
    let mut hands = Hands::of(scene, "postgres").await;
    let close = "ALTER DATABASE \"The App\" WITH ALLOW_CONNECTIONS false";
    let mut steps = 1;
    let mut done = 0;
    while done < steps {
        done += 1;
        let opening = opening(&mut hands).await;
        steps = opening.len();
        hands.outside.batch(close).await.expect("closed");
        run(scene, &opening[..done]).await;
        hands.lift().await;
        assert_eq!(scene.state(), before, "after {:?}", &opening[..done]);
    }
    let (mut steps, mut done) = (1, 0);
    while done < steps {
        done += 1;
        hands.stand().await;
        let lifting = lifting(&mut hands).await;
        steps = lifting.len();
        run(scene, &lifting[..done]).await;
        hands.stand().await;
        hands.lift().await;
        assert_eq!(scene.state(), before, "after {:?}", &lifting[..done]);
    }
}

async fn opening(hands: &mut Hands) -> Vec<String> {
    let now = now(hands).await;
    let opening = standing::to_let_ourselves_in(&mut hands.outside, &hands.before, &now).await;
    opening.expect("the names can be read")
}

async fn lifting(hands: &mut Hands) -> Vec<String> {
    let now = now(hands).await;
    let lifting = standing::to_lift(&mut hands.outside, &hands.before, &now).await;
    lifting.expect("the names can be read")
}

async fn now(hands: &mut Hands) -> Now {
    let now = Now::read(&mut hands.outside, Side::Target, DATABASE).await;
    now.expect("the database can be read")
}

async fn run(scene: &Scene, statements: &[String]) {
    let mut session = scene.ours("postgres").await;
    for statement in statements {
        let ran = session.batch(statement).await;
        ran.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_is_undone_exactly_on_12() {
    skip_unless_available!(12);
    every_way_is_undone(12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_is_undone_exactly_on_15() {
    skip_unless_available!(15);
    every_way_is_undone(15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_is_undone_exactly_on_18() {
    skip_unless_available!(18);
    every_way_is_undone(18).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_renamed_meanwhile_gets_its_right_back_and_a_dropped_one_is_passed_over() {
    let major = trunkline_testkit::any_major();
    skip_unless_available!(major);
    let scene = Scene::new(major, Role::Plain, Rights::Elaborate);
    let mut hands = Hands::of(&scene, "postgres").await;
    let before = scene.state();
    hands.raised().await;
    hands.stand().await;
    let changed = "ALTER ROLE admin RENAME TO chief_of_apps; DROP ROLE reader";
    scene.cluster.psql("postgres", changed);
    hands.lift().await;
    let expected = before
        .replace("admin reader CONNECT f, ", "")
        .replace(", admin reader CONNECT f", "")
        .replace("admin", "chief_of_apps");
    assert_eq!(scene.state(), expected);
}
