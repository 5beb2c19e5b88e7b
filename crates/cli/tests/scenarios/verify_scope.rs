//! What a comparison covers, and what it says of the rest: nothing passes unread as equal.

use serde_json::Value;
use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::Scene;

const WORLD: &str = "
    CREATE TABLE public.parted (id int, at date, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
    CREATE TABLE public.parted_2 PARTITION OF public.parted FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
    INSERT INTO public.parted SELECT n, '2021-06-01'::date + n, 'x' FROM generate_series(1, 400) AS n;
    CREATE TABLE public.parent (id int PRIMARY KEY, note text);
    INSERT INTO public.parent SELECT n, 'x' FROM generate_series(1, 100) AS n;
    CREATE UNLOGGED TABLE public.unlogged (id int PRIMARY KEY, note text);
    INSERT INTO public.unlogged VALUES (1, 'u')";

/// A migration whose rows were found equal.
async fn following() -> Scene {
    let scene = Scene::new(any_major(), any_major()).await.with(WORLD);
    scene.done(&["run", "--until", "verified"]).await;
    scene
}

async fn report(scene: &Scene, arguments: &[&str], code: i32) -> Value {
    let arguments = [&["verify", "--json"], arguments].concat();
    scene.trunkline(&arguments).await.expect_code(code).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_below_a_table_that_moves_are_seen_though_the_source_has_no_such_table() {
    skip_unless_available!(any_major());
    let scene = following().await;
    let added = "CREATE TABLE public.parted_3 PARTITION OF public.parted \
                     FOR VALUES FROM ('2023-01-01') TO ('2024-01-01'); \
                 CREATE TABLE public.child () INHERITS (public.parent)";
    scene.target_says(added);
    // Empty, they show nothing to anybody.
    scene.done(&["verify"]).await;
    for (fault, mend, name) in [
        (
            "INSERT INTO public.parted VALUES (5, '2023-02-02', 'x')",
            "DELETE FROM public.parted_3",
            "public.parted_3",
        ),
        (
            "INSERT INTO public.child VALUES (5, 'x')",
            "DELETE FROM public.child",
            "public.child",
        ),
    ] {
        scene.target_says(fault);
        for command in [&["verify"][..], &["cutover", "--no-way-back"][..]] {
            let refused = scene.trunkline(command).await.expect_code(6);
            assert!(refused.stderr.contains(name), "{}", refused.stderr);
        }
        scene.target_says(mend);
    }
    scene.done(&["verify"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partitioned_table_that_is_chosen_is_compared_in_its_partitions() {
    skip_unless_available!(any_major());
    let scene = following().await;
    let equal = report(&scene, &["--table", "public.parted"], 0).await;
    assert_eq!(equal["rows"], 400, "{equal:#}");
    assert_eq!(equal["partial"], true);
    scene.target_says("UPDATE public.parted_1 SET note = 'y' WHERE id = 7");
    for choice in [
        &["--table", "public.parted"][..],
        &["--table", "public.part*", "--where", "id < 100"][..],
        &["--exclude", "public.parent"][..],
        &["--include", "public.parted"][..],
    ] {
        let found = report(&scene, choice, 6).await;
        assert_eq!(
            found["row_differences"][0]["columns"][0], "note",
            "{found:#}"
        );
    }
    let without = report(&scene, &["--exclude", "public.parted"], 0).await;
    assert_eq!(without["rows"], 100, "{without:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_report_does_not_cover_it_names() {
    skip_unless_available!(any_major());
    let scene = following().await;
    scene.target_says("ALTER TABLE public.parent ADD more int DEFAULT 5");
    let all = report(&scene, &[], 0).await;
    let names = |key: &str| all[key].to_string();
    assert!(
        names("not_compared").contains("public.parent.more"),
        "{all:#}"
    );
    for later in ["public.unlogged", "sequences", "large objects"] {
        assert!(names("at_cutover").contains(later), "{all:#}");
    }
    assert_eq!(all["partial"], false);
    let sample = report(&scene, &["--sample", "1%"], 0).await;
    assert_eq!(sample["partial"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_compared_is_never_equal() {
    skip_unless_available!(any_major());
    let mut scene = following().await;
    let refused = scene
        .trunkline(&["verify", "--table", "public.unlogged"])
        .await;
    let refused = refused.expect_code(9);
    assert!(refused.stderr.contains("is unlogged"), "{}", refused.stderr);

    scene.target_says("ALTER TABLE public.parent DROP note");
    let differs = scene.trunkline(&["verify"]).await.expect_code(6);
    assert!(differs.stderr.contains("column note"), "{}", differs.stderr);
    scene.target_says(
        "ALTER TABLE public.parent ADD note text; UPDATE public.parent SET note = 'x'",
    );
    scene.done(&["verify"]).await;

    let same = scene.source.uri(&scene.database);
    let arguments = ["verify", "--source", &same, "--target", &same];
    let refused = scene.trunkline(&arguments).await.expect_code(2);
    assert!(
        refused.stderr.contains("the same database"),
        "{}",
        refused.stderr
    );

    let refused = scene.trunkline(&["verify", "--jobs", "200"]).await;
    refused.expect_code(2);
    scene.plan("[validation]\nexclude = [\"public.nosuch\"]\n");
    let refused = scene.trunkline(&["verify"]).await.expect_code(2);
    assert!(
        refused.stderr.contains("public.nosuch"),
        "{}",
        refused.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_leads_to_the_repair_before_the_cutover() {
    skip_unless_available!(any_major());
    let scene = following().await;
    scene.target_says("UPDATE public.parent SET note = 'y' WHERE id = 7");
    scene.trunkline(&["verify"]).await.expect_code(6);
    let next = |status: &Value| status["next_steps"].to_string();
    let status = scene.done(&["status", "--json"]).await.json();
    assert!(next(&status).contains("--repair"), "{status:#}");
    assert!(!next(&status).contains("trunkline cutover"), "{status:#}");
    scene.done(&["verify", "--repair"]).await;
    let status = scene.done(&["status", "--json"]).await.json();
    assert!(next(&status).contains("trunkline cutover"), "{status:#}");
}
