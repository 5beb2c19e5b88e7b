//! A migration that ends, one way or the other, leaves what was there before it and nothing
//! else.

use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::notes::notes;
use crate::scene::{Scene, assert_same_catalog};

/// What stands on the target before, by names that do not collide; some of it in the way of
/// whoever drops too much.
const STANDING: &str = "
    CREATE EXTENSION citext;
    CREATE SCHEMA shop_archive;
    CREATE TYPE shop_archive.state AS ENUM ('old');
    CREATE TABLE shop_archive.orders (id bigint PRIMARY KEY, state shop_archive.state);
    CREATE VIEW shop_archive.open AS SELECT * FROM shop_archive.orders;
    CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE SEQUENCE public.mine_seq;
    COMMENT ON SCHEMA public IS 'somebody''s own';
    CREATE TABLE public.mine (id int DEFAULT nextval('public.mine_seq'));
    INSERT INTO public.mine VALUES (DEFAULT), (DEFAULT)";

/// Functions, types, an extension and a schema that move with the tables.
const MOVING: &str = "
    CREATE EXTENSION IF NOT EXISTS citext;
    CREATE SCHEMA extra;
    CREATE TYPE extra.mood AS ENUM ('good', 'bad');
    CREATE DOMAIN extra.positive AS int CHECK (VALUE > 0);
    CREATE FUNCTION extra.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE extra.moods (id int PRIMARY KEY, mood extra.mood, size extra.positive);
    CREATE TRIGGER nothing BEFORE INSERT ON extra.moods
        FOR EACH ROW EXECUTE FUNCTION extra.nothing();
    CREATE VIEW extra.good AS SELECT * FROM extra.moods WHERE mood = 'good';
    CREATE MATERIALIZED VIEW extra.sizes AS SELECT size FROM extra.moods;
    INSERT INTO extra.moods VALUES (1, 'good', 1)";

async fn gives_up_from(until: &str, source: u32, target: u32) {
    let scene = Scene::new(source, target)
        .await
        .with_shop(1)
        .await
        .with(MOVING);
    scene.target_says(STANDING);
    let (source, target) = scene.catalogs().await;
    let writers = scene.writers_as("postgres").start();

    scene.done(&["run", "--until", until]).await;
    let (_, there) = scene.catalogs().await;
    assert!(
        there.contains("shop.orders") && there.contains("trunkline"),
        "it was begun"
    );
    let report = scene.done(&["abort", "--json"]).await.json();
    assert_eq!(report["phase"], "aborted", "{report:#}");

    let seen = writers.committed();
    trunkline_testkit::until(crate::scene::PATIENCE, async || {
        writers.committed() > seen + 5
    })
    .await;
    let outcome = writers.stop().await;
    assert_eq!(outcome.disconnects, 0, "nobody was disturbed: {outcome:?}");
    let (source_after, target_after) = scene.catalogs().await;
    assert_same_catalog("source", &source, &source_after);
    assert_same_catalog("target", &target, &target_after);
    assert_eq!(scene.target_says("SELECT count(*) FROM public.mine"), "2");
    assert_eq!(scene.phase().await, "aborted");
    // And it can be begun again.
    scene.target_says("DROP TABLE public.mine; DROP SCHEMA shop_archive CASCADE");
    scene.done(&["run", "--until", "verified"]).await;
    scene.assert_same_rows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_loaded_is_given_up_without_a_trace() {
    skip_unless_available!(15, 15);
    gives_up_from("loaded", 15, 15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_following_is_given_up_without_a_trace() {
    // The owner and the grants of schema public changed between these.
    skip_unless_available!(14, 16);
    gives_up_from("following", 14, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_verified_is_given_up_without_a_trace() {
    skip_unless_available!(17, 13);
    gives_up_from("verified", 17, 13).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_follows_ends_when_another_command_gives_it_up() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    let (source, target) = scene.catalogs().await;
    let mut follower = scene.start(&["run"]);
    follower.must_say("== verified").await;
    scene.done(&["abort"]).await;
    let ran = follower.ended().await.expect_code(9);
    ran.expect_said(&["ended by another command"]);
    let (source_after, target_after) = scene.catalogs().await;
    assert_same_catalog("source", &source, &source_after);
    assert_same_catalog("target", &target, &target_after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_up_with_the_tables_kept_only_ours_goes() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.done(&["run", "--until", "verified"]).await;
    scene.done(&["abort", "--keep-target"]).await;
    scene.assert_same_rows().await;
    scene.assert_nothing_of_ours().await;
    // Giving up what is given up is refused, and changes nothing.
    scene.trunkline(&["abort"]).await.expect_code(9);
    scene.assert_same_rows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_does_not_fit_the_phase_is_refused() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    for command in ["abort", "complete", "cutover", "status"] {
        let ran = scene.trunkline(&[command]).await.expect_code(9);
        ran.expect_said(&["there is no migration `app`", "trunkline run"]);
    }
    let source = scene.catalogs().await.0;
    scene.done(&["run", "--until", "loaded"]).await;
    for command in ["cutover", "verify"] {
        let ran = scene.trunkline(&[command]).await.expect_code(9);
        ran.expect_said(&["its rows are not all on the target yet"]);
    }
    scene.done(&["run", "--until", "verified"]).await;
    let ran = scene.trunkline(&["complete"]).await.expect_code(9);
    ran.expect_said(&[
        "the migration is verified, not switched",
        "trunkline cutover",
    ]);
    assert_eq!(scene.phase().await, "verified");

    scene.done(&["cutover"]).await;
    let ran = scene.trunkline(&["abort"]).await.expect_code(9);
    ran.expect_said(&["clients were switched", "trunkline complete"]);
    let ran = scene.trunkline(&["cutover"]).await.expect_code(9);
    ran.expect_said(&["switched already"]);
    scene.done(&["verify"]).await;
    assert_eq!(scene.phase().await, "switched");
    scene.assert_same_rows().await;

    scene.done(&["complete"]).await;
    assert_same_catalog("source", &source, &scene.catalogs().await.0);
    scene.assert_nothing_of_ours().await;
    scene.source_says("INSERT INTO public.notes VALUES (1000, 'it takes writes again')");
    for command in ["abort", "complete", "cutover"] {
        scene.trunkline(&[command]).await.expect_code(9);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completed_with_the_fence_kept_the_source_goes_on_refusing_writes() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.source_says("CREATE ROLE app_user LOGIN; GRANT ALL ON public.notes TO app_user");
    scene.target_says("CREATE ROLE app_user LOGIN");
    scene.done(&["run", "--until", "switched"]).await;
    scene.done(&["complete", "--keep-fence"]).await;
    let uri = scene.source.uri(&scene.database);
    let client = trunkline_testkit::try_connect(&uri.replace("postgres@", "app_user@")).await;
    if let Ok(client) = client {
        let written = client.batch_execute("INSERT INTO public.notes VALUES (1000, 'late')");
        assert!(written.await.is_err(), "the old database takes writes");
    }
    let (source, target) = scene.catalogs().await;
    for (side, text) in [("source", source), ("target", target)] {
        let ours = text.lines().filter(|line| line.contains("trunkline"));
        assert_eq!(ours.count(), 0, "left behind on the {side}: {text}");
    }
}

/// What the source dropped or renamed since was made on the target all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_source_has_dropped_since_is_given_up_with_the_rest() {
    skip_unless_available!(any_major());
    let scene = notes().await.with(
        "CREATE TABLE public.short_lived (id int PRIMARY KEY);
         CREATE TABLE public.renamed (id serial PRIMARY KEY);
         CREATE TABLE public.left_out (id int)",
    );
    let target = scene.catalogs().await.1;
    let run = [
        "run",
        "--until",
        "following",
        "--exclude",
        "public.left_out",
    ];
    scene.done(&run).await;
    scene.source_says(
        "DROP TABLE public.short_lived, public.left_out;
         ALTER TABLE public.renamed RENAME TO other_name",
    );
    let ran = scene.trunkline(&["verify"]).await.expect_code(9);
    ran.expect_said(&[
        "public.short_lived was dropped or renamed",
        "public.other_name",
    ]);
    scene.done(&["abort"]).await;
    assert_same_catalog("target", &target, &scene.catalogs().await.1);
    scene.assert_nothing_of_ours().await;
}
