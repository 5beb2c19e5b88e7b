//! The comparison: silent while both sides are equal, however busy the source; and never
//! silent when they are not.

use serde_json::Value;
use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::Scene;

/// A busy shop, a table without key, and one that is emptied now and then.
const MORE: &str = "
    CREATE TABLE public.keyless (a int, b text);
    ALTER TABLE public.keyless REPLICA IDENTITY FULL;
    INSERT INTO public.keyless SELECT n % 5, 'x' FROM generate_series(1, 50) AS n;
    CREATE TABLE public.emptied (id int PRIMARY KEY, note text);
    CREATE TABLE public.keys (id int PRIMARY KEY, note text);
    INSERT INTO public.keys SELECT n, 'note' FROM generate_series(1, 500) AS n;
    CREATE TABLE public.\"Odd name\" (id numeric PRIMARY KEY, doc jsonb);
    INSERT INTO public.\"Odd name\" SELECT n, '{\"a\": 1}' FROM generate_series(1, 100) AS n";

async fn shop() -> Scene {
    let major = any_major();
    Scene::new(major, major).await.with_shop(1).await.with(MORE)
}

/// TRUNCATEs and changed keys, round after round, until told to stop.
async fn empty_and_rename(scene: &Scene, stop: tokio_util::sync::CancellationToken) -> u32 {
    let client = scene.on_source().await;
    let mut rounds = 0;
    while !stop.is_cancelled() {
        let script = format!(
            "BEGIN; TRUNCATE public.emptied;
             INSERT INTO public.emptied SELECT n, 'round {rounds}' FROM generate_series(1, 40) AS n;
             COMMIT;
             UPDATE public.keys SET id = -id WHERE id % 7 = {rounds} % 7;
             UPDATE public.keyless SET b = b || 'y' WHERE a = {rounds} % 5;
             DELETE FROM public.keyless WHERE length(b) > 4;
             INSERT INTO public.keyless SELECT {rounds} % 5, 'x' FROM generate_series(1, 5)"
        );
        client
            .batch_execute(&script)
            .await
            .expect("the source takes it");
        rounds += 1;
        tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    }
    rounds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_source_never_raises_a_false_alarm() {
    skip_unless_available!(any_major());
    let scene = shop().await;
    let writers = scene.writers_as("postgres").start();
    let stop = tokio_util::sync::CancellationToken::new();
    let (rounds, ()) = tokio::join!(empty_and_rename(&scene, stop.clone()), async {
        scene.done(&["run", "--until", "following"]).await;
        for _ in 0..5 {
            let (seen, report) = (writers.committed(), scene.trunkline(&["verify", "--json"]));
            let report = report.await.expect_code(0).json();
            assert_eq!(report["equal"], true, "{report:#}");
            assert_eq!(report["differences"], serde_json::json!([]), "{report:#}");
            assert!(writers.committed() > seen, "nobody wrote meanwhile");
        }
        stop.cancel();
    });
    assert!(rounds > 5, "{rounds}");
    writers.stop().await;
    assert_eq!(scene.phase().await, "verified");
    scene.done(&["run", "--until", "switched"]).await;
    scene.assert_same().await;
}

fn named(report: &Value, key: &str) -> Vec<String> {
    let tables = report[key].as_array().expect("a list");
    let name = |table: &Value| {
        let part = |key: &str| table["table"][key].as_str().expect("a name").to_owned();
        format!("{}.{}", part("schema"), part("name"))
    };
    tables.iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_row_that_differs_is_found_and_holds_the_cutover_back() {
    skip_unless_available!(any_major());
    let scene = shop().await;
    scene.done(&["run", "--until", "verified"]).await;
    let restore = "DELETE FROM public.keyless; \
                   INSERT INTO public.keyless SELECT n % 5, 'x' FROM generate_series(1, 50) AS n";
    for (damage, table, outcome, mend) in [
        (
            "UPDATE public.keys SET note = 'Note' WHERE id = 250",
            "public.keys",
            "contents_differ",
            "UPDATE public.keys SET note = 'note' WHERE id = 250",
        ),
        (
            "DELETE FROM public.\"Odd name\" WHERE id = 50",
            "public.Odd name",
            "counts_differ",
            "INSERT INTO public.\"Odd name\" VALUES (50, '{\"a\": 1}')",
        ),
        (
            "INSERT INTO public.emptied VALUES (1, NULL)",
            "public.emptied",
            "counts_differ",
            "DELETE FROM public.emptied",
        ),
        (
            "INSERT INTO public.keyless VALUES (1, 'x')",
            "public.keyless",
            "counts_differ",
            restore,
        ),
        // As many rows, and only the number of equal ones differs.
        (
            "UPDATE public.keyless SET a = 2 \
             WHERE ctid = (SELECT ctid FROM public.keyless WHERE a = 1 LIMIT 1)",
            "public.keyless",
            "contents_differ",
            restore,
        ),
    ] {
        scene.target_says(damage);
        let report = scene
            .trunkline(&["verify", "--json"])
            .await
            .expect_code(6)
            .json();
        assert_eq!(report["schema_version"], 1);
        assert_eq!(report["equal"], false, "{report:#}");
        assert_eq!(named(&report, "differences"), [table], "{damage}");
        let verdict = &report["differences"][0];
        assert_eq!(verdict["outcome"], outcome, "{damage}: {report:#}");
        let rows = (
            verdict["source_rows"].as_u64(),
            verdict["target_rows"].as_u64(),
        );
        assert_eq!(rows.0 == rows.1, outcome == "contents_differ", "{report:#}");

        let ran = scene.trunkline(&["cutover"]).await.expect_code(6);
        ran.expect_said(&[table.split('.').nth(1).expect("a name")]);
        scene.source_says("UPDATE public.keys SET note = note WHERE id = 1");

        scene.target_says(mend);
        let report = scene.done(&["verify", "--json"]).await.json();
        assert_eq!(report["equal"], true, "{report:#}");
    }
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_tables_that_were_asked_for_are_compared() {
    skip_unless_available!(any_major());
    let scene = shop().await;
    scene.done(&["run", "--until", "verified"]).await;
    scene.target_says("UPDATE public.keys SET note = 'changed' WHERE id = 250");
    let only = [
        "verify",
        "--json",
        "--table",
        "public.em*",
        "--table",
        "public.keyless",
    ];
    let report = scene.done(&only).await.json();
    let mut names = named(&report, "tables");
    names.sort();
    assert_eq!(names, ["public.emptied", "public.keyless"], "{report:#}");
    let report = scene
        .trunkline(&["verify", "--json", "--table", "public.key*"])
        .await;
    let report = report.expect_code(6).json();
    assert_eq!(named(&report, "differences"), ["public.keys"], "{report:#}");
    let ran = scene
        .trunkline(&["verify", "--table", "public.kyes"])
        .await
        .expect_code(2);
    ran.expect_said(&["`public.kyes` matches nothing", "public.keys"]);
    // What was shown only is no verdict: the cutover finds it itself.
    assert_eq!(scene.phase().await, "verified");
    let ran = scene.trunkline(&["cutover"]).await;
    assert!(matches!(ran.code, Some(6 | 7)), "{ran}");
    scene.source_says("UPDATE public.keys SET note = note WHERE id = 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_follows_says_which_table_differs_and_goes_on() {
    skip_unless_available!(any_major());
    let scene = shop().await;
    scene.done(&["run", "--until", "following"]).await;
    scene.target_says("DELETE FROM public.keys WHERE id = 250");
    let ran = scene
        .trunkline(&["run", "--until", "verified"])
        .await
        .expect_code(6);
    ran.expect_said(&["1 table is different", "public.keys"]);
    let ran = scene
        .trunkline(&["run", "--until", "switched"])
        .await
        .expect_code(6);
    ran.expect_said(&["public.keys"]);
    let mut follower = scene.start(&["run"]);
    follower.must_say("public.keys DIFFERS").await;
    scene.target_says("INSERT INTO public.keys VALUES (250, 'note')");
    // Asked for while it follows, and answered by the other command.
    scene.done(&["verify"]).await;
    follower.signal("INT").await;
    follower.ended().await.expect_code(130);
    assert_eq!(scene.phase().await, "verified");
}

/// Ends one session of a comparison on the source, whenever it shows.
async fn end_one(scene: &Scene) {
    let client = scene.on_source().await;
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = 'trunkline verify' AND state = 'active' LIMIT 1";
    loop {
        let ended = client.query(sql, &[]).await.expect("the source answers");
        if !ended.is_empty() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_somebody_ends_does_not_end_the_comparison() {
    skip_unless_available!(any_major());
    let scene = shop().await;
    scene.done(&["run", "--until", "following"]).await;
    let verify_until_struck = async {
        let mut strike = std::pin::pin!(end_one(&scene));
        let mut struck = false;
        while !struck {
            let mut verify = std::pin::pin!(scene.done(&["verify"]));
            tokio::select! {
                _ran = &mut verify => {}
                () = &mut strike => {
                    verify.await;
                    struck = true;
                }
            }
        }
    };
    let patience = crate::scene::PATIENCE;
    let struck = tokio::time::timeout(patience, verify_until_struck).await;
    struck.expect("a session of a comparison was seen and ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_mends_is_for_its_owners_eyes_and_is_never_written_over() {
    use std::os::unix::fs::PermissionsExt as _;
    skip_unless_available!(any_major());
    let scene = crate::scene::notes::notes().await;
    scene.done(&["run", "--until", "following"]).await;
    scene.target_says("DELETE FROM public.notes WHERE id = 7");
    let path = scene.path("mend.sql");
    let name = path.display().to_string();
    let script = ["verify", "--repair-sql", name.as_str()];
    std::fs::write(&path, "-- read and signed").expect("a file");
    let refused = scene.trunkline(&script).await;
    refused
        .expect_code(2)
        .expect_said(&["never written over", "hint: name another file"]);
    let kept = std::fs::read_to_string(&path).expect("it is there");
    assert_eq!(kept, "-- read and signed");
    std::fs::remove_file(&path).expect("it can be removed");
    scene.trunkline(&script).await.expect_code(6);
    let written = std::fs::metadata(&path).expect("it is there");
    assert_eq!(written.permissions().mode() & 0o777, 0o600);
}
