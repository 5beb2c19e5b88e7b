//! Validation while changes flow: every row is looked at, under writers that never stop;
//! what differs is named, what moves is not; a `kill -9` loses no progress.

use std::time::Duration;

use trunkline_testkit::{any_major, skip_unless_available, until};

use crate::scene::Scene;

async fn shop() -> Scene {
    let major = any_major();
    let more = "
        CREATE TABLE public.cold (id bigint PRIMARY KEY, note text, amount numeric);
        INSERT INTO public.cold SELECT n, 'note ' || n, n / 7.0 FROM generate_series(1, 20000) AS n;
        -- Stored out of line, so that the stream does not send it unless it changes.
        CREATE TABLE public.documents (id bigint PRIMARY KEY, n int, body text);
        ALTER TABLE public.documents ALTER COLUMN body SET STORAGE EXTERNAL;
        INSERT INTO public.documents
        SELECT n, 0, repeat('body ' || n, 2000) FROM generate_series(1, 100) AS n;
        CREATE TABLE public.texts (code text PRIMARY KEY, n float8);
        INSERT INTO public.texts SELECT 'c' || n, n FROM generate_series(1, 500) AS n;
        CREATE TABLE public.keyless (a int, b text);
        ALTER TABLE public.keyless REPLICA IDENTITY FULL;
        INSERT INTO public.keyless SELECT n % 5, 'x' FROM generate_series(1, 50) AS n;
        CREATE TABLE public.hot (id int PRIMARY KEY, n bigint NOT NULL);
        INSERT INTO public.hot VALUES (1, 0)";
    Scene::new(major, major).await.with_shop(1).await.with(more)
}

/// One row that is written to all the time.
async fn heat(scene: &Scene, stop: tokio_util::sync::CancellationToken) {
    let client = scene.on_source().await;
    while !stop.is_cancelled() {
        let update = "UPDATE public.hot SET n = n + 1";
        client
            .batch_execute(update)
            .await
            .expect("the source takes it");
    }
}

fn failures(scene: &Scene) -> Vec<String> {
    let named = "SELECT table_name || ' ' || kind || ' ' || coalesce(key::text, '-') || ' ' || \
               array_to_string(columns, ',') FROM trunkline.validation_failures \
               ORDER BY table_name, key::text";
    let text = scene.target_says(named);
    text.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_written_to_all_the_time_raise_no_alarm() {
    skip_unless_available!(any_major());
    let scene = shop().await;
    let writers = scene.writers_as("postgres").start();
    let stop = tokio_util::sync::CancellationToken::new();
    let ((), ()) = tokio::join!(heat(&scene, stop.clone()), async {
        scene.done(&["run", "--until", "verified"]).await;
        let status = scene
            .trunkline(&["status", "--json"])
            .await
            .expect_code(0)
            .json();
        let validation = &status["validation"];
        assert_eq!(validation["rows_differing"], 0, "{status:#}");
        assert!(
            validation["states"]["matched"].as_u64() > Some(4),
            "{status:#}"
        );
        assert_eq!(validation["tables"], serde_json::json!([]), "{status:#}");
        stop.cancel();
    });
    assert_eq!(failures(&scene), Vec::<String>::new());
    writers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_differs_is_named_when_the_stream_touches_it_and_forgotten_once_equal() {
    skip_unless_available!(any_major());
    let scene = shop().await;
    let writers = scene.writers_as("postgres").start();
    let mut run = scene.start(&["run"]);
    run.must_say("== verified").await;
    let target = scene.on_target().await;
    let source = scene.on_source().await;
    // Nobody sees it until the row changes: the change brings its own columns, not this one.
    let damage = "UPDATE public.documents SET body = upper(body) WHERE id = 77";
    target
        .batch_execute(damage)
        .await
        .expect("the target takes it");
    let touch = "UPDATE public.documents SET n = n + 1 WHERE id = 77";
    source.batch_execute(touch).await.expect("a change");
    let named = [r#"documents different {"id": "77"} body"#];
    until(Duration::from_mins(1), async || failures(&scene) == named).await;
    let status = scene.done(&["status", "--json"]).await.json();
    assert_eq!(status["validation"]["states"]["differing"], 1, "{status:#}");
    run.must_say("rows differ").await;

    let mend = "UPDATE public.documents SET body = lower(body) WHERE id = 77";
    target
        .batch_execute(mend)
        .await
        .expect("the target takes it");
    source.batch_execute(touch).await.expect("a change");
    until(Duration::from_mins(1), async || failures(&scene).is_empty()).await;
    drop(run);
    writers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_reading_goes_on_where_it_was() {
    skip_unless_available!(any_major());
    let mut scene = shop().await.with(
        "CREATE TABLE public.big (id bigint PRIMARY KEY, filler text);
         INSERT INTO public.big SELECT n, repeat('x', 100) FROM generate_series(1, 100000) AS n;
         ANALYZE public.big",
    );
    scene.plan("[validation]\npart_size = \"256 kB\"\nsource_share = \"20%\"\njobs = 1\n");
    let writers = scene.writers_as("postgres").start();
    scene.done(&["run", "--until", "following"]).await;
    let run = scene.start(&["run", "--until", "verified"]);
    let read = |scene: &Scene| -> (u64, String) {
        let sql = "SELECT rows_compared || ' ' || coalesce(began_at::text, '-') \
                   FROM trunkline.validation WHERE table_name = 'big' AND above IS NOT NULL";
        let made = "SELECT to_regclass('trunkline.validation') IS NOT NULL";
        if scene.target_says(made).trim() != "t" {
            return (0, String::new());
        }
        let said = scene.target_says(sql);
        let (rows, began) = said.trim().split_once(' ').unwrap_or(("0", ""));
        (rows.parse().expect("a number"), began.to_owned())
    };
    until(Duration::from_mins(1), async || read(&scene).0 > 10_000).await;
    run.signal("KILL").await;
    run.ended().await;
    let (rows, began) = read(&scene);
    assert!(
        (10_001..100_000).contains(&rows),
        "{rows} rows when it was killed"
    );

    scene.done(&["run", "--until", "verified"]).await;
    let now = "SELECT rows_compared || ' ' || rounds || ' ' || state || ' ' || began_at \
               FROM trunkline.validation WHERE table_name = 'big'";
    let said = scene.target_says(now);
    // Every row once, in the one reading that began before the kill.
    assert_eq!(said.trim(), format!("100000 1 matched {began}"));
    writers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_plan_leaves_out_is_not_compared_and_said_so() {
    skip_unless_available!(any_major());
    let mut scene = shop().await;
    scene.plan(
        "[validation]\nexclude = [\"public.hot\"]\nexclude_columns = [\"public.cold.note\"]\n",
    );
    scene.done(&["run", "--until", "following"]).await;
    scene.target_says("UPDATE public.cold SET note = 'other' WHERE id = 5; DELETE FROM public.hot");
    scene.done(&["run", "--until", "verified"]).await;
    let report = scene.done(&["verify", "--json"]).await.json();
    let left_out = serde_json::json!(["public.hot", "public.cold.note"]);
    assert_eq!(report["not_compared"], left_out, "{report:#}");
    scene.target_says("UPDATE public.cold SET amount = 0 WHERE id = 5");
    let ran = scene.trunkline(&["verify"]).await.expect_code(6);
    let report = &ran.stdout;
    assert!(report.contains("different id = 5: amount"), "{report}");
}
