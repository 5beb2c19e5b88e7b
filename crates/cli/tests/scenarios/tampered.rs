//! What somebody changed behind our back is noticed, said, and never gone over.

use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::Scene;
use crate::scene::notes::notes;

/// A migration that was verified, and is not running.
async fn verified() -> Scene {
    let scene = notes().await;
    scene.done(&["run", "--until", "verified"]).await;
    scene
}

fn slot(scene: &Scene) -> String {
    let name = scene.source_says("SELECT slot_name FROM pg_replication_slots");
    assert!(name.starts_with("trunkline_"), "{name:?}");
    name
}

/// Every command that would go on refuses, says why, and applies nothing.
async fn assert_refused(scene: &Scene, reason: &str) {
    let applied = "SELECT count(*), max(id), (SELECT max(applied_lsn) FROM trunkline.progress) \
                   FROM public.notes";
    let before = scene.target_says(applied);
    for arguments in [
        &["run"][..],
        &["run", "--until", "following"],
        &["run", "--until", "switched"],
        &["verify"],
        &["cutover"],
    ] {
        let ran = scene.trunkline(arguments).await.expect_code(4);
        ran.expect_said(&[
            "source: replication slot",
            reason,
            "hint: changes may be missing",
        ]);
        assert_eq!(scene.target_says(applied), before, "{arguments:?}");
    }
    let next = "INSERT INTO public.notes SELECT max(id) + 1, 'it serves' FROM public.notes";
    scene.source_says(next);
}

/// The way out that the hint names.
async fn assert_begins_anew(scene: &Scene) {
    scene.done(&["abort"]).await;
    scene.assert_nothing_of_ours().await;
    scene.done(&["run", "--until", "verified"]).await;
    scene.assert_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_was_dropped_is_not_gone_on_without() {
    skip_unless_available!(any_major());
    let scene = verified().await;
    let name = slot(&scene);
    scene.source_says(&format!("SELECT pg_drop_replication_slot('{name}')"));
    scene.source_says("INSERT INTO public.notes VALUES (1000, 'lost to the slot')");
    assert_refused(&scene, "it does not exist any more").await;
    assert_begins_anew(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_made_anew_under_the_same_name_is_not_taken_for_ours() {
    skip_unless_available!(any_major());
    let scene = verified().await;
    let name = slot(&scene);
    scene.source_says(&format!("SELECT pg_drop_replication_slot('{name}')"));
    scene.source_says("INSERT INTO public.notes VALUES (1000, 'lost to the slot')");
    let made = format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')");
    scene.source_says(&made);
    assert_refused(&scene, "it was advanced, or made anew").await;

    // Another plugin under that name is another slot, too.
    scene.source_says(&format!("SELECT pg_drop_replication_slot('{name}')"));
    let made = format!("SELECT pg_create_logical_replication_slot('{name}', 'test_decoding')");
    scene.source_says(&made);
    assert_refused(&scene, "its plugin is test_decoding, not pgoutput").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_was_advanced_is_refused() {
    skip_unless_available!(any_major());
    let scene = verified().await;
    let name = slot(&scene);
    scene.source_says("INSERT INTO public.notes VALUES (1000, 'passed over')");
    let advanced = format!("SELECT pg_replication_slot_advance('{name}', pg_current_wal_lsn())");
    scene.source_says(&advanced);
    assert_refused(&scene, "it was advanced, or made anew").await;
    assert_begins_anew(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_damaged_stops_everything_until_it_is_restored() {
    skip_unless_available!(any_major());
    let scene = verified().await;
    scene.source_says("INSERT INTO public.notes VALUES (1000, 'waits in the slot')");
    let slots = "SELECT slot_name, restart_lsn, confirmed_flush_lsn FROM pg_replication_slots";
    let before = scene.source_says(slots);
    scene.target_says("CREATE TABLE public.saved AS SELECT * FROM trunkline.journal");
    let restore = "DELETE FROM trunkline.journal; \
                   INSERT INTO trunkline.journal SELECT * FROM public.saved";

    for (damage, said) in [
        (
            "UPDATE trunkline.journal SET entry = '{\"nonsense\": [1]}' WHERE seq = 2",
            "entry 2 cannot be read",
        ),
        (
            "UPDATE trunkline.journal SET entry = '7' WHERE seq = 0",
            "entry 0 cannot be read",
        ),
        (
            "DELETE FROM trunkline.journal WHERE seq = 3",
            "entry 3 is missing",
        ),
        (
            "UPDATE trunkline.journal SET entry = '{\"moved\": \"caught_up\"}' WHERE seq = 0",
            "entry 0 does not follow",
        ),
    ] {
        scene.target_says(damage);
        for command in ["run", "status", "verify", "cutover", "abort", "complete"] {
            let ran = scene.trunkline(&[command]).await.expect_code(5);
            ran.expect_said(&["the journal on the target cannot be used", said, "hint: "]);
        }
        assert_eq!(scene.source_says(slots), before, "{damage}");
        scene.target_says(restore);
    }
    scene.target_says("DROP TABLE public.saved");
    scene.done(&["run", "--until", "following"]).await;
    scene.assert_same_rows().await;
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_runs_at_once_the_second_goes_away() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    // From nothing, at the same moment.
    let arguments = ["run", "--until", "verified"];
    let (first, second) = (scene.start(&arguments), scene.start(&arguments));
    let (first, second) = tokio::join!(first.ended(), second.ended());
    let mut codes = [first.code, second.code];
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(9)]);

    let mut follower = scene.start(&["run"]);
    follower.must_say("== verified").await;
    let ran = scene.trunkline(&["run"]).await.expect_code(9);
    ran.expect_said(&[
        "another run holds the migration `app`",
        "hint: ",
        "It is process ",
        "pg_terminate_backend(",
    ]);
    let ran = scene.trunkline(&["clone"]).await;
    assert_ne!(ran.code, Some(0), "{ran}");
    scene.source_says("INSERT INTO public.notes VALUES (1000, 'while one follows')");
    scene.done(&["verify"]).await;
    scene.assert_same_rows().await;
    follower.signal("INT").await;
    follower.ended().await.expect_code(130);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_belongs_to_another_migration_is_refused() {
    skip_unless_available!(any_major());
    let scene = verified().await;
    let ran = scene
        .trunkline(&["run", "--name", "other"])
        .await
        .expect_code(9);
    ran.expect_said(&[
        "belongs to the migration `app`",
        "trunkline abort --name app",
    ]);
    for command in ["cutover", "status", "abort"] {
        let ran = scene.trunkline(&[command, "--name", "other"]).await;
        ran.expect_code(9).expect_said(&["no migration `other`"]);
    }
    assert_eq!(scene.phase().await, "verified");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_of_tables_that_changes_on_the_way_loses_nothing() {
    skip_unless_available!(any_major());
    let mut scene = notes()
        .await
        .with("CREATE TABLE public.more AS SELECT * FROM public.notes")
        .with("ALTER TABLE public.more ADD PRIMARY KEY (id)");
    scene.done(&["run", "--until", "verified"]).await;
    scene.source_says("UPDATE public.more SET body = 'changed' WHERE id <= 10");
    for choice in [["--include", "public.notes"], ["--exclude", "public.more"]] {
        let verified = scene.done(&[&["verify"][..], &choice].concat()).await;
        let said = "only what was chosen was compared";
        assert!(verified.stdout.contains(said), "{verified}");
        for command in [&["cutover"][..], &["run", "--until", "switched"]] {
            let ran = scene.trunkline(&[command, &choice].concat()).await;
            ran.expect_code(9)
                .expect_said(&["moves public.more", "leaves it out now", "hint: "]);
        }
    }
    assert_ne!(scene.phase().await, "switched");
    // A plan file stands above what the last run was told.
    scene.plan("[tables]\n");
    scene.done(&["run", "--until", "following"]).await;
    scene.done(&["verify"]).await;
    scene.assert_same_rows().await;
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
}
