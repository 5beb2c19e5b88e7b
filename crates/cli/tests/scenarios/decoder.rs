//! `test_decoding` in place of pgoutput: the same moves, with the same proof, and no
//! publication on the source.

use std::time::Duration;

use fastrand::Rng;
use trunkline_testkit::contents::catalog;
use trunkline_testkit::{any_major, skip_unless_available, until};

use crate::scene::notes::notes;
use crate::scene::ordeal::{Blow, Ordeal, RUN_STEPS, Strike};
use crate::scene::{Pace, Scene, assert_same_catalog, seed};

const DECODER: &str = "\n[stream]\ndecoder = \"test_decoding\"\n";

/// There with writers, everything compared, nothing left.
async fn moves(source: u32, target: u32) {
    let scene = Scene::new(source, target).await.with_shop(1).await;
    let mut scene = scene.with_matrix().await;
    scene.plan(DECODER);
    let is_by_it = |scene: &Scene| {
        let plugin = "SELECT string_agg(plugin, ' ') FROM pg_replication_slots";
        assert_eq!(scene.source_says(plugin).trim(), "test_decoding");
        let published = "SELECT count(*) FROM pg_publication";
        assert_eq!(scene.source_says(published).trim(), "0");
    };
    scene.moves_under_writers(Pace::Slow, is_by_it).await;
}

macro_rules! moves {
    ($($name:ident $source:literal $target:literal)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            skip_unless_available!($source, $target);
            moves($source, $target).await;
        }
    )+};
}

moves! {
    a_live_database_moves_by_test_decoding_from_12_to_16 12 16
    a_live_database_moves_by_test_decoding_from_15_to_17 15 17
    a_live_database_moves_by_test_decoding_from_18_to_18 18 18
}

/// Kills of the program in every step, and crashes and cuts of both servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_by_test_decoding_that_is_killed_in_every_step_comes_to_the_same_end() {
    let major = any_major();
    skip_unless_available!(major);
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let mut ordeal = Ordeal::planned(major, major, seed, DECODER, Pace::Slow).await;
    let mut strikes: Vec<Strike> = RUN_STEPS
        .into_iter()
        .filter(|step| *step != "publication")
        .map(|step| Strike::at(step, Blow::KillProgram, &mut rng))
        .collect();
    for blow in [Blow::KillSource, Blow::KillTarget, Blow::CutSource(100_000)] {
        strikes.push(Strike::at("comparing both sides", blow, &mut rng));
    }
    ordeal.run_through(&strikes).await;
    ordeal.cut_over_through(&[]).await;
    ordeal.assert_moved().await;
}

/// The second leg is read by pgoutput, the third by `test_decoding` again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_by_test_decoding_can_be_taken_back_and_made_again() {
    skip_unless_available!(any_major());
    let mut scene = notes().await;
    scene.plan(DECODER);
    let before = catalog(&scene.on_source().await).await;
    scene.done(&["run", "--until", "verified"]).await;
    scene.done(&["cutover"]).await;
    let plugin = "SELECT string_agg(plugin, ' ') FROM pg_replication_slots";
    assert_eq!(scene.target_says(plugin).trim(), "pgoutput");
    scene.target_says("INSERT INTO public.notes SELECT n, 'new' FROM generate_series(201, 300) n");
    scene.target_says("DELETE FROM public.notes WHERE id > 290");
    let following = scene.start(&["run"]);
    scene.done(&["rollback"]).await;
    scene.assert_same().await;
    assert_eq!(scene.source_says(plugin).trim(), "test_decoding");

    scene.source_says("UPDATE public.notes SET body = 'it''s back' WHERE id < 20");
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    scene.done(&["complete"]).await;
    following.ended().await.expect_code(0);
    scene.assert_nothing_of_ours().await;
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_decoder_of_a_migration_stays_the_one_that_it_was_begun_with() {
    skip_unless_available!(any_major());
    let mut scene = notes().await;
    scene.done(&["run", "--until", "following"]).await;
    scene.plan(DECODER);
    for command in ["run", "verify", "cutover"] {
        let refused = scene.trunkline(&[command]).await;
        assert_ne!(refused.code, Some(0), "{refused}");
        refused.expect_said(&["pgoutput", "decoder"]);
    }
    scene.done(&["abort"]).await;
    scene.assert_nothing_of_ours().await;
    scene.done(&["run", "--until", "verified"]).await;
    let plugin = "SELECT string_agg(plugin, ' ') FROM pg_replication_slots";
    assert_eq!(scene.source_says(plugin).trim(), "test_decoding");
    scene.done(&["abort"]).await;
    scene.assert_nothing_of_ours().await;
}

/// Columns and names that change while the stream goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_is_added_on_both_sides_arrives_and_a_table_of_a_new_name_is_refused() {
    skip_unless_available!(any_major());
    let mut scene = notes().await;
    scene.plan(DECODER);
    scene.done(&["run", "--until", "following"]).await;
    let mut following = scene.start(&["run"]);
    following.must_say("== following").await;
    let add = "ALTER TABLE public.notes ADD COLUMN \"it's [new]\" text, \
               ADD COLUMN size int GENERATED ALWAYS AS (length(body)) STORED";
    scene.target_says(add);
    scene.source_says(add);
    scene.source_says("UPDATE public.notes SET \"it's [new]\" = ' new-tuple: '''");
    scene.source_says("CREATE TABLE public.unknown (id int PRIMARY KEY)");
    scene.source_says("INSERT INTO public.unknown SELECT generate_series(1, 100)");
    scene.source_says("INSERT INTO public.notes VALUES (1000, 'after')");
    until(Duration::from_mins(1), async || {
        let there = "SELECT count(*) FROM public.notes WHERE id = 1000";
        scene.target_says(there).trim() == "1"
    })
    .await;
    scene.source_says("DROP TABLE public.unknown");
    scene.assert_same_rows().await;
    scene.source_says("ALTER TABLE public.notes RENAME TO renamed");
    scene.source_says("INSERT INTO public.renamed VALUES (1001, 'must not be passed over')");
    let ended = following.ended().await;
    assert_ne!(ended.code, Some(0), "{ended}");
    ended.expect_said(&["public.renamed"]);
    scene.done(&["abort"]).await;
}

/// A role that owns nothing: with pgoutput it could not publish, and `check` says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_owns_no_table_can_read_the_stream() {
    skip_unless_available!(any_major());
    let mut scene = notes().await;
    scene.source_says(
        "CREATE ROLE reader LOGIN REPLICATION; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
    );
    scene.target_says("CREATE ROLE reader");
    let uri = scene.source.uri(&scene.database);
    scene.reach("TRUNKLINE_SOURCE", &uri.replace("postgres@", "reader@"));
    let checked = scene.trunkline(&["check"]).await.expect_code(3);
    let said = format!("{checked}");
    assert!(said.contains("may publish it"), "{said}");
    scene.plan(DECODER);
    scene.plan("\n[cutover]\nway_back = \"none\"\n");
    let checked = scene.trunkline(&["check"]).await;
    let said = format!("{checked}");
    assert!(!said.contains("may publish it"), "{said}");
    scene.done(&["run", "--until", "loaded"]).await;
    scene.source_says("INSERT INTO public.notes VALUES (1000, 'in the stream')");
    scene.done(&["run", "--until", "verified"]).await;
    scene.assert_same_rows().await;
    scene.done(&["abort"]).await;
    scene.assert_nothing_of_ours().await;
}
