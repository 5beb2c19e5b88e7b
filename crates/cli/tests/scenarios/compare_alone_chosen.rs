//! Some rows of two databases compared: by a condition, which must not do anything else, or
//! by a share of the rows; and rows that do not stand still.

use std::time::Duration;

use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::Scene;
use crate::scene::notes::notes;

async fn twins() -> Scene {
    let scene = notes().await;
    scene.target_says(crate::scene::notes::NOTES);
    scene
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_chooses_the_rows_of_one_table() {
    skip_unless_available!(any_major());
    let scene = twins().await.with("CREATE TABLE public.other (id int)");
    scene.target_says("UPDATE public.notes SET body = 'changed' WHERE id IN (50, 150)");
    let verify = ["verify", "--json", "--table", "public.notes", "--where"];
    let of = |condition: &'static str| [&verify[..], &[condition]].concat();
    let ran = scene.trunkline(&of("id > 100 AND body <> ';)'")).await;
    let report = ran.expect_code(6).json();
    assert_eq!(report["rows"], 100, "{report:#}");
    assert_eq!(report["partial"], true);
    let rows = report["row_differences"].as_array().expect("a list");
    assert_eq!(rows.len(), 1, "{report:#}");
    let ran = scene.trunkline(&of("id % 2 = 1 OR id = 2")).await;
    assert_eq!(ran.expect_code(0).json()["rows"], 101);
    // More than one table, and none.
    let ran = scene.trunkline(&["verify", "--where", "id > 1"]).await;
    ran.expect_code(2).expect_said(&[
        "--where goes with one table, and 2 are chosen",
        "hint: name one",
    ]);
    let none = ["verify", "--table", "public.nots"];
    let ran = scene.trunkline(&none).await.expect_code(2);
    ran.expect_said(&["`public.nots` matches nothing", "public.notes"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_that_would_do_more_is_refused_and_does_nothing() {
    skip_unless_available!(any_major());
    let scene = twins().await.with("CREATE SEQUENCE public.drawn");
    scene.target_says("CREATE SEQUENCE public.drawn");
    let file = scene.path("written");
    let program = format!("true) ORDER BY 1) TO PROGRAM 'touch {}' --", file.display());
    let settings = format!(
        r"set_config('standard_conforming_strings', 'off', false) = 'off' \
          AND body <> '\' || ') ORDER BY 1) TO PROGRAM $$touch {}$$ --'",
        file.display()
    );
    // The rows differ: every statement of a comparison is reached.
    scene.target_says("UPDATE public.notes SET body = 'changed' WHERE id = 50");
    for (condition, said) in [
        ("true; DROP TABLE public.notes", "holds a `;`"),
        (
            "true); DELETE FROM public.notes; SELECT (true",
            "closes that none opened",
        ),
        (program.as_str(), "closes that none opened"),
        ("true) OR (true", "closes that none opened"),
        (settings.as_str(), "a backslash stands before a quote"),
        ("(true", "a parenthesis is not closed"),
        ("true -- ", "comment"),
        ("note = 'x", "is not closed"),
        ("nothing > 5", "column \"nothing\" does not exist"),
        ("id > ", "syntax error"),
        ("body", "must be type boolean"),
        ("id / 0 > 1", "division by zero"),
        ("nextval('public.drawn') > 0", "read-only transaction"),
        (
            "set_config('transaction_read_only', 'off', false) = 'off'",
            "read-write mode",
        ),
        (
            "EXISTS (WITH gone AS (DELETE FROM public.notes RETURNING 1) SELECT FROM gone)",
            "syntax error",
        ),
    ] {
        let verify = ["verify", "--table", "public.notes", "--where", condition];
        let ran = scene.trunkline(&verify).await.expect_code(2);
        assert!(ran.stderr.contains("hint: "), "{ran}");
        if said != "syntax error" {
            ran.expect_said(&[said]);
        }
    }
    assert!(!file.exists(), "a program ran");
    for says in [Scene::source_says, Scene::target_says] {
        assert_eq!(says(&scene, "SELECT count(*) FROM public.notes"), "200");
        assert_eq!(says(&scene, "SELECT is_called FROM public.drawn"), "f");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_of_rows_within_a_migration_is_no_verification() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.done(&["run", "--until", "following"]).await;
    scene.target_says("UPDATE public.notes SET body = 'changed' WHERE id = 50");
    let ran = scene
        .done(&["verify", "--where", "id > 100", "--json"])
        .await;
    assert_eq!(ran.json()["rows"], 100);
    assert_eq!(scene.phase().await, "following");
    let ran = scene.trunkline(&["verify", "--where", "id <= 100"]).await;
    ran.expect_code(6);
    let ran = scene.trunkline(&["verify", "--where", "nothing = 1"]).await;
    ran.expect_code(2)
        .expect_said(&["refuses the condition `nothing = 1`", "hint: "]);
    let ran = scene
        .trunkline(&["verify", "--where", "1 / (id - 3) = 1"])
        .await;
    ran.expect_code(2).expect_said(&["division by zero"]);
    let sampled = ["verify", "--sample", "10%", "--json"];
    let rows = scene.trunkline(&sampled).await.json()["rows"].clone();
    assert!((1..60).contains(&rows.as_u64().expect("a count")), "{rows}");
    assert_eq!(scene.phase().await, "following");
    let ran = scene.trunkline(&["verify", "--no-data"]).await;
    ran.expect_code(2).expect_said(&["--alone"]);
    // The same two databases, as if there were no migration.
    let ran = scene.trunkline(&["verify", "--alone"]).await.expect_code(6);
    ran.expect_said(&["as they are: --alone was given"]);
    let named = ["verify", "--name", "another"];
    let ran = scene.trunkline(&named).await.expect_code(6);
    ran.expect_said(&["belongs to another migration, `app`"]);
    assert_eq!(scene.phase().await, "following");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_moves_from_look_to_look_does_not_count() {
    skip_unless_available!(any_major());
    let scene = twins().await;
    scene.target_says("UPDATE public.notes SET body = 'stays different' WHERE id = 9");
    let client = scene.on_source().await;
    let moving = tokio::spawn(async move {
        loop {
            let sql = "UPDATE public.notes SET body = body || 'x' WHERE id = 3";
            client
                .batch_execute(sql)
                .await
                .expect("the source takes it");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let verify = ["verify", "--settle", "2500ms"];
    let ran = scene.trunkline(&verify).await.expect_code(6);
    for line in [
        "different: public.notes: 1 different",
        "  different id = 9: body",
        "busy: 1 rows that differed moved",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {ran}");
    }
    assert!(!ran.stdout.contains("id = 3"), "{ran}");
    scene.target_says("UPDATE public.notes SET body = 'note 9' WHERE id = 9");
    let report = scene
        .done(&[&verify[..], &["--json"]].concat())
        .await
        .json();
    assert_eq!(report["equal"], true, "{report:#}");
    assert_eq!(report["tables"][0]["outcome"], "busy");
    moving.abort();
    // Without further looks it is what it is.
    scene
        .trunkline(&["verify", "--settle", "0s"])
        .await
        .expect_code(6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_ends_what_the_servers_compute() {
    skip_unless_available!(any_major());
    let scene = twins().await;
    let slow = "pg_sleep(2) IS NOT NULL";
    let verify = ["verify", "--table", "public.notes", "--where", slow];
    let mut running = scene.start(&verify);
    running.must_say("comparing rows").await;
    let busy = "SELECT count(*) FROM pg_stat_activity \
                WHERE application_name = 'trunkline verify' AND query LIKE '%pg_sleep%' \
                AND state = 'active' AND pid <> pg_backend_pid()";
    trunkline_testkit::until(crate::scene::PATIENCE, async || {
        scene.source_says(busy) != "0" && scene.target_says(busy) != "0"
    })
    .await;
    running.signal("INT").await;
    let ran = running.ended().await.expect_code(130);
    ran.expect_said(&["nothing was changed"]);
    trunkline_testkit::until(Duration::from_secs(20), async || {
        scene.source_says(busy) == "0" && scene.target_says(busy) == "0"
    })
    .await;
}
