//! Whatever is interrupted, and whenever: the same end.

use fastrand::Rng;
use trunkline_testkit::{any_major, skip_unless_available, until};

use crate::scene::notes::notes;
use crate::scene::ordeal::{Blow, CUTOVER_STEPS, Ordeal, RUN_STEPS, Strike, survives};
use crate::scene::{PATIENCE, Scene, assert_same_catalog, seed};

/// A migration in which every one of these happens, one after the other.
async fn struck(run: impl Fn(&mut Rng) -> Vec<Strike>) {
    let major = any_major();
    skip_unless_available!(major);
    let seed = seed();
    let mut ordeal = Ordeal::new(major, major, seed).await;
    ordeal.run_through(&run(&mut Rng::with_seed(seed))).await;
    ordeal.cut_over_through(&[]).await;
    ordeal.assert_moved().await;
}

/// A migration whose sides are equal, and what its blows are drawn from.
async fn verified() -> (Ordeal, Rng) {
    let (major, seed) = (any_major(), seed());
    let mut ordeal = Ordeal::new(major, major, seed).await;
    ordeal.run_through(&[]).await;
    (ordeal, Rng::with_seed(seed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_in_every_step_goes_on_to_the_same_end() {
    struck(|rng| {
        let kill = |step| Strike::at(step, Blow::KillProgram, rng);
        RUN_STEPS.into_iter().map(kill).collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_asked_to_stop_in_every_step_goes_on_to_the_same_end() {
    struck(|rng| {
        let stop = |step| Strike::at(step, Blow::StopProgram, rng);
        RUN_STEPS.into_iter().map(stop).collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_crashes_is_waited_for() {
    struck(|rng| {
        let crash = |step| Strike::at(step, Blow::KillTarget, rng);
        [
            "structure",
            "copying rows",
            "catching up",
            "comparing both sides",
        ]
        .into_iter()
        .map(crash)
        .collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_takes_its_last_answers_back_in_a_run_loses_nothing() {
    let major = any_major();
    skip_unless_available!(major);
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let mut ordeal = Ordeal::new(major, major, seed).await;
    let crash = |step| Strike::after(step, Blow::TargetForgets, &mut rng);
    let crashes: Vec<Strike> = RUN_STEPS.into_iter().map(crash).collect();
    ordeal.run_through(&crashes).await;
    ordeal.assert_taken_back();
    ordeal.cut_over_through(&[]).await;
    ordeal.assert_moved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cutover_whose_target_crashes_in_every_step_loses_nothing() {
    skip_unless_available!(any_major());
    let (mut ordeal, mut rng) = verified().await;
    for step in CUTOVER_STEPS {
        let crash = Strike::at(step, Blow::TargetForgets, &mut rng);
        if ordeal.survives_in_cutover(&crash).await {
            break;
        }
    }
    ordeal.cut_over_through(&[]).await;
    ordeal.assert_moved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_whose_source_crashes_in_every_step_loses_nothing() {
    skip_unless_available!(any_major());
    let (mut ordeal, mut rng) = verified().await;
    ordeal.cut_over_through(&[]).await;
    ordeal.follow_the_clients();
    for step in CUTOVER_STEPS {
        let crash = Strike::at(step, Blow::SourceForgets, &mut rng);
        if ordeal.survives_in_rollback(&crash).await {
            break;
        }
    }
    ordeal.assert_moved_back().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_crashes_is_waited_for() {
    struck(|rng| {
        let crash = |step| Strike::at(step, Blow::KillSource, rng);
        [
            "structure",
            "copying rows",
            "catching up",
            "comparing both sides",
        ]
        .into_iter()
        .map(crash)
        .collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_are_made_again() {
    struck(|rng| {
        let mut strikes = Vec::new();
        for step in RUN_STEPS.into_iter().skip(1) {
            let blow = if rng.bool() {
                Blow::CutSource(rng.u64(0..200_000))
            } else {
                Blow::CutTarget(rng.u64(0..20_000))
            };
            strikes.push(Strike::at(step, blow, rng));
        }
        strikes
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cutover_that_is_killed_in_every_step_leaves_one_side_that_takes_writes() {
    skip_unless_available!(any_major());
    let (mut ordeal, mut rng) = verified().await;
    for step in CUTOVER_STEPS {
        let kill = Strike::at(step, Blow::KillProgram, &mut rng);
        if ordeal.survives_in_cutover(&kill).await {
            break;
        }
    }
    ordeal.cut_over_through(&[]).await;
    ordeal.assert_moved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_is_killed_in_every_step_leaves_one_side_that_takes_writes() {
    skip_unless_available!(any_major());
    let (mut ordeal, mut rng) = verified().await;
    ordeal.cut_over_through(&[]).await;
    ordeal.follow_the_clients();
    for step in CUTOVER_STEPS {
        let kill = Strike::at(step, Blow::KillProgram, &mut rng);
        if ordeal.survives_in_rollback(&kill).await {
            break;
        }
    }
    ordeal.assert_moved_back().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_schedule_of_failures_comes_to_the_same_end() {
    let major = any_major();
    skip_unless_available!(major);
    survives(major, major, seed(), 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_schedule_of_failures_between_versions_comes_to_the_same_end() {
    skip_unless_available!(13, 17);
    survives(13, 17, seed(), 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_after_a_crash_in_any_step_leaves_both_servers_as_they_were() {
    let major = any_major();
    skip_unless_available!(major);
    let scene = Scene::new(major, major).await.with_shop(1).await;
    let scene = scene.with_matrix().await;
    let before = scene.catalogs().await;
    for step in RUN_STEPS {
        let mut running = scene.start(&["run", "--until", "verified"]);
        running.must_say(step).await;
        running.kill().await;
        // Before the journal exists there is nothing to give up.
        let ran = scene.trunkline(&["abort"]).await;
        assert!(ran.code == Some(0) || step == RUN_STEPS[0], "{ran}");
        let (source, target) = scene.catalogs().await;
        assert_same_catalog(&format!("source, killed in {step}"), &before.0, &source);
        assert_same_catalog(&format!("target, killed in {step}"), &before.1, &target);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_ends_the_pg_dump_that_a_killed_command_left() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    // No look at the catalog wants a table without storage, and pg_dump does.
    scene.source_says("CREATE TABLE public.parted (id int) PARTITION BY RANGE (id)");
    let holder = scene.on_source().await;
    let lock = "BEGIN; LOCK TABLE ONLY public.parted";
    holder.batch_execute(lock).await.expect("nobody has it");
    let running = scene.start(&["clone"]);
    let client = scene.on_source().await;
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE application_name LIKE 'trunkline dump %' AND wait_event_type = 'Lock'";
    let waiting = async || -> i64 {
        let row = client.query_one(waiting, &[]).await.expect("it answers");
        row.get(0)
    };
    until(PATIENCE, async || waiting().await == 1).await;
    running.kill().await;
    assert_eq!(waiting().await, 1, "the server knows nothing of it");
    scene.done(&["abort"]).await;
    until(PATIENCE, async || waiting().await == 0).await;
    holder.batch_execute("COMMIT").await.expect("it is let go");
    scene.done(&["clone"]).await;
    scene.assert_same_rows().await;
}
