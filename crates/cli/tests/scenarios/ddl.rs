//! Changes of structure on the source while the migration runs: what only adds is made on the
//! target at its place, what rows may not fit after stops the stream until somebody answers,
//! the rest blocks the cutover.

use serde_json::Value;
use tokio_postgres::Client;
use trunkline_testkit::{Cluster, any_major, skip_unless_available, until};

use crate::scene::notes::NOTES;
use crate::scene::{DATABASE, PATIENCE, Scene};

/// A role without any right of ours, whose table is changed; and types to add to.
const OURS: &str = "
    CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app;
    CREATE TYPE public.mood AS ENUM ('good', 'bad');
    SET ROLE app;
    CREATE TABLE public.things (id int PRIMARY KEY, name varchar(10), mood public.mood NOT NULL);
    INSERT INTO public.things SELECT n, 'thing', 'good' FROM generate_series(1, 300) AS n;
    RESET ROLE; ALTER TYPE public.mood OWNER TO app;";

/// What is replayed, each with rows before and after in one transaction.
const ADDING: [&str; 7] = [
    "INSERT INTO public.things (id, name, mood) VALUES (1000, 'before', 'good');
     ALTER TABLE public.things ADD COLUMN note text;
     UPDATE public.things SET note = 'since' WHERE id <= 10;
     INSERT INTO public.things (id, name, mood, note) VALUES (1001, 'after', 'bad', 'x')",
    "ALTER TABLE public.things ADD COLUMN made timestamptz NOT NULL DEFAULT now();
     INSERT INTO public.things (id, mood) VALUES (1002, 'bad');
     ALTER TABLE public.things ADD COLUMN tags text[] DEFAULT '{\"a,b\",\"c''d\",NULL}';
     UPDATE public.things SET tags = NULL WHERE id = 5",
    "ALTER TABLE public.things ALTER COLUMN note SET DEFAULT 'none';
     INSERT INTO public.things (id, mood) VALUES (1003, 'good')",
    "ALTER TABLE public.things ALTER COLUMN name TYPE varchar(40),
                               ALTER COLUMN mood DROP NOT NULL;
     INSERT INTO public.things (id, name) VALUES (1004, 'a name that is longer than ten')",
    "CREATE INDEX things_note ON public.things (note) WHERE note IS NOT NULL;
     DELETE FROM public.things WHERE id = 20",
    "ALTER TYPE public.mood ADD VALUE 'so-so' AFTER 'good'",
    "UPDATE public.things SET mood = 'so-so' WHERE id % 7 = 0;
     ALTER TABLE public.things ALTER COLUMN note DROP DEFAULT",
];

async fn scene(source: u32, target: u32, mode: &str) -> Scene {
    let scene = Scene::new(source, target).await.with_shop(1).await;
    let mut scene = scene.with(OURS).with(NOTES);
    scene.target_says("CREATE ROLE app; GRANT CREATE ON SCHEMA public TO app");
    scene.plan(&format!("[stream]\nddl = \"{mode}\"\n"));
    scene
}

async fn app(scene: &Scene) -> Client {
    let uri = scene.source.uri(&scene.database);
    trunkline_testkit::connect(&uri.replace("postgres@", "app@")).await
}

async fn together(client: &Client, sql: &str) {
    let whole = format!("BEGIN; {sql}; COMMIT");
    let done = client.batch_execute(&whole).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The structure of the tables, as far as it is replayed.
fn structure(cluster: &Cluster) -> String {
    cluster.psql(
        DATABASE,
        "SELECT attrelid::regclass || ' ' || attname || ' ' || format_type(atttypid, atttypmod)
                || ' ' || attnotnull || ' ' || coalesce(pg_get_expr(adbin, adrelid), '-')
           FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
          WHERE attrelid IN ('public.things'::regclass, 'public.notes'::regclass)
            AND attnum > 0 AND NOT attisdropped
         UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
         UNION ALL SELECT enumlabel FROM pg_enum
          ORDER BY 1",
    )
}

async fn ddl_status(scene: &Scene) -> Value {
    scene.done(&["status", "--json"]).await.json()["ddl"].clone()
}

fn triggers(scene: &Scene) -> String {
    scene.source_says("SELECT count(*) FROM pg_event_trigger")
}

async fn follows_what_is_added(source: u32, target: u32) {
    let scene = scene(source, target, "replay").await;
    let before = scene.catalogs().await.0;
    let writers = scene.clients(crate::scene::seed());
    let planned = scene.done(&["plan"]).await;
    assert!(planned.stdout.contains("CREATE EVENT TRIGGER"), "{planned}");
    let mut run = scene.start(&["run"]);
    run.must_say("== verified").await;
    let app = app(&scene).await;
    for sql in &ADDING[..3] {
        together(&app, sql).await;
    }
    // Whatever it was doing, it goes on.
    run.kill().await;
    for sql in &ADDING[3..] {
        together(&app, sql).await;
    }
    // Of the leaves, too.
    scene.source_says("ALTER TABLE shop.events ADD COLUMN weight int NOT NULL DEFAULT 7");
    let mut run = scene.start(&["run"]);
    let settled = "SELECT count(*) FROM pg_attrdef WHERE adrelid = 'public.things'::regclass";
    until(PATIENCE, async || {
        assert!(!run.is_over(), "it ended: {}", run.so_far());
        scene.target_says("SELECT count(*) FROM public.things WHERE mood::text = 'so-so'") != "0"
            && scene.target_says(settled) == scene.source_says(settled)
            && scene.target_says("SELECT count(*) FROM trunkline.ddl_log") == "9"
    })
    .await;
    let status = ddl_status(&scene).await;
    assert_eq!(status["to_look_at"], Value::Array(Vec::new()), "{status:#}");
    // The widening and the NULL that is allowed are one command.
    assert_eq!(status["replayed"], 9, "{status:#}");
    assert_eq!(structure(&scene.source), structure(&scene.target));
    run.kill().await;

    scene.done(&["run", "--until", "verified"]).await;
    scene.done(&["cutover"]).await;
    writers.stop().await;
    assert_eq!(triggers(&scene), "0", "it goes with what the leg followed");
    scene.assert_same().await;
    scene.done(&["complete"]).await;
    scene.assert_nothing_of_ours().await;
    drop(before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_added_on_the_source_is_added_on_the_target_at_its_place() {
    skip_unless_available!(15, 17);
    follows_what_is_added(15, 17).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_from_the_first_version_that_logs_it() {
    skip_unless_available!(14, 16);
    follows_what_is_added(14, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rollback_the_source_logs_again() {
    let major = any_major();
    skip_unless_available!(major);
    let scene = scene(major, major, "replay").await;
    let writers = scene.clients(crate::scene::seed());
    scene.done(&["run", "--until", "verified"]).await;
    scene.done(&["cutover"]).await;
    assert_eq!(triggers(&scene), "0");
    scene.done(&["rollback"]).await;
    assert_eq!(triggers(&scene), "2");
    let app = app(&scene).await;
    together(
        &app,
        "ALTER TABLE public.things ADD COLUMN late int DEFAULT 3; UPDATE public.things SET late = 4",
    )
    .await;
    let arrived = "SELECT count(*) FROM pg_attribute WHERE attname = 'late'";
    follow_until(&scene, arrived, "1").await;
    scene.done(&["run", "--until", "verified"]).await;
    scene.done(&["cutover"]).await;
    writers.stop().await;
    scene.assert_same().await;
    scene.done(&["complete"]).await;
    assert_eq!(triggers(&scene), "0");
    scene.assert_nothing_of_ours().await;
}

/// Follows until the target says so.
async fn follow_until(scene: &Scene, sql: &str, answer: &str) {
    let mut run = scene.start(&["run"]);
    until(PATIENCE, async || {
        assert!(!run.is_over(), "it ended: {}", run.so_far());
        scene.target_says(sql) == answer
    })
    .await;
    run.kill().await;
}

/// The run must end at a change, with its number.
async fn stops(scene: &Scene, said: &[&str]) -> i64 {
    let ran = scene.start(&["run"]).ended().await.expect_code(5);
    ran.expect_said(said);
    let status = ddl_status(scene).await;
    let last = status["to_look_at"].as_array().and_then(|all| all.last());
    let last = last.expect("it is listed");
    assert_eq!(last["stops"], true, "{status:#}");
    last["id"].as_i64().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rows_may_not_fit_after_stops_the_stream_until_it_is_answered() {
    let major = any_major();
    skip_unless_available!(major);
    let scene = scene(major, major, "replay").await;
    let writers = scene.clients(crate::scene::seed());
    scene.done(&["run", "--until", "verified"]).await;
    let app = app(&scene).await;
    together(
        &app,
        "INSERT INTO public.things VALUES (2000, 'before', 'good');
         ALTER TABLE public.things DROP COLUMN name;
         INSERT INTO public.things VALUES (2001, 'good')",
    )
    .await;
    together(
        &app,
        "ALTER TABLE public.things RENAME COLUMN mood TO temper;
         UPDATE public.things SET temper = 'bad' WHERE id = 3",
    )
    .await;

    // What the operator gives is run in its place: between the two rows.
    let id = stops(&scene, &["dropped name of public.things", "SET instead"]).await;
    let held = scene.trunkline(&["cutover"]).await.expect_code(9);
    held.expect_said(&["dropped name of public.things", "SET instead"]);
    scene.target_says(&format!(
        "UPDATE trunkline.ddl_log SET instead = 'ALTER TABLE public.things DROP COLUMN name' \
         WHERE id = {id}"
    ));
    let id = stops(&scene, &["renamed, or dropped and added"]).await;
    // What does not run there stops it once more.
    scene.target_says(&format!(
        "UPDATE trunkline.ddl_log SET instead = 'ALTER TABLE public.things RENAME name TO x' \
         WHERE id = {id}"
    ));
    assert_eq!(stops(&scene, &["what you gave failed"]).await, id);
    // Made by hand, where no row of its transaction comes before it.
    scene.target_says(&format!(
        "UPDATE trunkline.ddl_log SET instead = NULL WHERE id = {id}; \
         ALTER TABLE public.things RENAME COLUMN mood TO temper"
    ));
    let renamed = "SELECT temper FROM public.things WHERE id = 3";
    follow_until(&scene, renamed, "bad").await;
    let status = ddl_status(&scene).await;
    assert_eq!(status["to_look_at"], Value::Array(Vec::new()), "{status:#}");
    scene.done(&["cutover"]).await;
    writers.stop().await;
    scene.assert_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_row_depends_on_blocks_the_cutover_until_it_is_done() {
    let major = any_major();
    skip_unless_available!(major);
    let scene = scene(major, major, "replay").await;
    scene.done(&["run", "--until", "verified"]).await;
    let app = app(&scene).await;
    let more = "ALTER TABLE public.things ADD CONSTRAINT short CHECK (id > 0);
        CREATE FUNCTION public.twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
        CREATE TEMP TABLE passing (id int); DROP TABLE passing;
        INSERT INTO public.things VALUES (3000, 'on', 'good')";
    together(&app, more).await;
    let arrived = "SELECT count(*) FROM public.things WHERE id = 3000";
    follow_until(&scene, arrived, "1").await;
    let text = scene.done(&["status"]).await.stdout;
    for part in [
        "0 replayed, 2 to look at",
        "public.things",
        "public.twice",
        "by app",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let ran = scene.trunkline(&["cutover"]).await.expect_code(9);
    ran.expect_said(&["constraint short", "public.twice", "state = 'done'"]);
    let made = more.split(';').take(2).collect::<Vec<_>>().join(";");
    scene.target_says(&format!(
        "{made}; UPDATE trunkline.ddl_log SET state = 'done' WHERE state = 'open'"
    ));
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_alone_records_and_leaves_nothing_behind() {
    let major = any_major();
    skip_unless_available!(major);
    let scene = scene(major, major, "log").await;
    let (source, _) = scene.catalogs().await;
    // Killed while it is made, and given up.
    let mut run = scene.start(&["run"]);
    run.must_say("log of changes of structure").await;
    run.kill().await;
    scene.done(&["abort"]).await;
    assert_eq!(triggers(&scene), "0");

    scene.done(&["run", "--until", "verified"]).await;
    assert_eq!(triggers(&scene), "2");
    let app = app(&scene).await;
    together(&app, "CREATE INDEX things_name ON public.things (name)").await;
    scene.source_says("DROP INDEX public.things_name");
    follow_until(&scene, "SELECT count(*) FROM trunkline.ddl_log", "2").await;
    let status = ddl_status(&scene).await;
    assert_eq!(
        status["to_look_at"].as_array().map(Vec::len),
        Some(2),
        "{status:#}"
    );
    let ran = scene.trunkline(&["cutover"]).await.expect_code(9);
    ran.expect_said(&["CREATE INDEX of public.things_name", "DROP INDEX"]);
    scene.done(&["abort"]).await;
    assert_eq!(triggers(&scene), "0");
    let (after, _) = scene.catalogs().await;
    crate::scene::assert_same_catalog("source", &source, &after);
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_is_refused_beforehand() {
    skip_unless_available!(13, 15);
    let mut scene = scene(13, 15, "replay").await;
    scene.trunkline(&["check"]).await.expect_code(3);
    let uri = scene.source.uri(&scene.database);
    scene.reach("TRUNKLINE_SOURCE", &uri.replace("postgres@", "app@"));
    let report = scene.trunkline(&["check"]).await.expect_code(3);
    for part in ["from 14 on", "ALTER ROLE \"app\" SUPERUSER"] {
        assert!(report.stdout.contains(part), "{part}: {report}");
    }
    assert_eq!(triggers(&scene), "0");
    scene.plan("[transform]\nrename_schemas = { shop = \"store\" }\n");
    let ran = scene.trunkline(&["check"]).await.expect_code(2);
    ran.expect_said(&["gives the target other names"]);
    scene.plan("[seed]\nmethod = \"snapshot\"\n");
    scene.trunkline(&["check"]).await.expect_code(2);
}
