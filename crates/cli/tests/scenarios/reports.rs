//! What the looking commands say: the check, the plan, the status, the scripts. Each is true,
//! and none of them changes anything.

use serde_json::Value;
use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::notes::notes;
use crate::scene::{Scene, assert_same_catalog};

/// Triggers in three modes, sequences in three states, a table without a key, an unlogged one.
const MORE: &str = "
    CREATE TABLE public.keyless (a int);
    CREATE UNLOGGED TABLE public.quick (a int PRIMARY KEY);
    CREATE TABLE public.parts (a int PRIMARY KEY) PARTITION BY LIST (a);
    CREATE TABLE public.\"Part 1\" PARTITION OF public.parts FOR VALUES IN (1);
    CREATE SEQUENCE public.untouched START 7;
    CREATE SEQUENCE public.\"Called it's\"; SELECT nextval('public.\"Called it''s\"');
    CREATE SEQUENCE public.down INCREMENT -1; SELECT setval('public.down', -40, false);
    CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER origin BEFORE INSERT ON public.notes
        FOR EACH ROW EXECUTE FUNCTION public.nothing();
    CREATE TRIGGER always BEFORE INSERT ON public.notes
        FOR EACH ROW EXECUTE FUNCTION public.nothing();
    CREATE TRIGGER asleep BEFORE INSERT ON public.notes
        FOR EACH ROW EXECUTE FUNCTION public.nothing();
    ALTER TABLE public.notes ENABLE ALWAYS TRIGGER always, DISABLE TRIGGER asleep";

const TRIGGERS: &str = "SELECT string_agg(tgname || tgenabled::text, ' ' ORDER BY tgname) \
                        FROM pg_trigger WHERE tgrelid = 'public.notes'::regclass";

fn list<'a>(report: &'a Value, key: &str) -> &'a Vec<Value> {
    report[key].as_array().expect("a list")
}

async fn asserting_nothing_changes(scene: &Scene, look: impl AsyncFnOnce()) {
    let (source, target) = scene.catalogs().await;
    look().await;
    let (source_after, target_after) = scene.catalogs().await;
    assert_same_catalog("source", &source, &source_after);
    assert_same_catalog("target", &target, &target_after);
    assert!(!scene.migration_folder().exists(), "nothing was saved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_says_what_stands_in_the_way_and_what_mends_it() {
    skip_unless_available!(any_major());
    let scene = notes().await.with(MORE);
    asserting_nothing_changes(&scene, async || {
        let report = scene.trunkline(&["check", "--json"]).await;
        let report = report.expect_code(3).json();
        assert_eq!(report["schema_version"], 1);
        assert_eq!(report["verdict"], "blocked");
        assert_eq!(report["blockers"], 1, "{report:#}");
        let findings = list(&report, "findings");
        let blocker = &findings[0];
        assert_eq!(blocker["code"], "replica-identity", "the gravest first");
        assert_eq!(blocker["side"], "source");
        assert_eq!(blocker["object"], "public.keyless");
        let remedy = "ALTER TABLE \"public\".\"keyless\" REPLICA IDENTITY FULL;";
        assert_eq!(blocker["remedy"], remedy);
        let found = |code: &str| findings.iter().any(|finding| finding["code"] == code);
        for code in ["unlogged-table", "sequences", "size"] {
            assert!(found(code), "{code}: {report:#}");
        }
        let ran = scene.trunkline(&["check"]).await.expect_code(3);
        assert!(ran.stdout.contains("Blockers (1)"), "{ran}");
        assert!(ran.stdout.contains(remedy), "{ran}");
    })
    .await;
    let scene = scene.with("ALTER TABLE public.keyless REPLICA IDENTITY FULL");
    let report = scene.done(&["check", "--json"]).await.json();
    assert_eq!(report["verdict"], "ready-with-warnings", "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plan_says_every_statement_on_the_source_and_runs_none() {
    skip_unless_available!(any_major());
    let scene = notes().await.with(MORE);
    asserting_nothing_changes(&scene, async || {
        let ran = scene.done(&["plan"]).await;
        for text in [
            "  1. move `app` from ",
            "source: CREATE PUBLICATION \"trunkline_app_<id>\" FOR TABLE ONLY \"public\".",
            "\"public\".\"Part 1\"",
            "CREATE_REPLICATION_SLOT",
            "ALTER DATABASE \"app\" WITH ALLOW_CONNECTIONS false",
            "switch; or, after 30s, give the source back",
        ] {
            assert!(ran.stdout.contains(text), "{text:?}: {ran}");
        }
        assert!(
            !ran.stdout.contains("\"quick\""),
            "an unlogged table is in no stream: {ran}"
        );
        let dry = scene.done(&["run", "--dry-run"]).await;
        assert_eq!(dry.stdout, ran.stdout);
        let report = scene.done(&["plan", "--json"]).await.json();
        assert_eq!(report["schema_version"], 1);
        let steps = list(&report, "steps");
        assert_eq!(steps.len(), ran.stdout.lines().count(), "{report:#}");
        let fewer = ["plan", "--json", "--include", "public.notes"];
        let fewer = scene.done(&fewer).await.json().to_string();
        assert!(!fewer.contains("Part 1"), "{fewer}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scripts_do_what_they_say_when_they_are_run_by_hand() {
    skip_unless_available!(any_major());
    let mut scene = notes().await.with(MORE);
    let scene_ref = &scene;
    let script = async |name: &str| scene_ref.done(&["sql", name]).await.stdout;
    let (publication, role) = (script("publication").await, script("role").await);
    let text = script("sequences").await;
    assert_eq!(text.lines().count(), 3, "{text}");

    // The publication can be made as it stands, and has what is in the stream.
    scene.source_says(&publication);
    let published = "SELECT string_agg(tablename, ' ' ORDER BY tablename COLLATE \"C\") \
                     FROM pg_publication_tables WHERE pubname = 'trunkline'";
    assert_eq!(scene.source_says(published), "Part 1 keyless notes");
    for text in [
        "CREATE ROLE \"trunkline\" LOGIN REPLICATION;",
        "pg_signal_backend",
    ] {
        assert!(role.contains(text), "{role}");
    }
    let named = scene
        .done(&["sql", "role", "--role", "Some one"])
        .await
        .stdout;
    assert!(named.contains("CREATE ROLE \"Some one\""), "{named}");

    // With the publication that an administrator made, a run makes none of its own.
    scene.source_says("ALTER TABLE public.keyless REPLICA IDENTITY FULL");
    scene.plan("[source]\npublication = \"trunkline\"\n");
    scene.done(&["run", "--until", "verified"]).await;
    assert_eq!(
        scene.source_says("SELECT count(*) FROM pg_publication"),
        "1"
    );

    // The sequences: equal after the script, and not before.
    let stands = "SELECT last_value, is_called FROM public.down";
    assert_ne!(scene.target_says(stands), scene.source_says(stands));
    scene.target_says(&text);
    scene.assert_same_sequences().await;

    let triggers = scene.done(&["sql", "triggers"]).await.stdout;
    let (off, on) = triggers.split_once("-- afterwards").expect("two parts");
    let on = format!("-- afterwards{on}");
    assert_eq!(scene.target_says(TRIGGERS), "alwaysA asleepD originO");
    scene.target_says(off);
    assert_eq!(scene.target_says(TRIGGERS), "alwaysD asleepD originD");
    scene.target_says(&on);
    assert_eq!(scene.target_says(TRIGGERS), "alwaysA asleepD originO");

    scene.done(&["abort"]).await;
    let kept = "SELECT pubname FROM pg_publication";
    assert_eq!(
        scene.source_says(kept),
        "trunkline",
        "an administrator's own stays"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_says_where_it_stands_from_the_first_row_to_the_end() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    let status = async || scene.done(&["status", "--json"]).await.json();
    scene.done(&["run", "--until", "loaded"]).await;
    let report = status().await;
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["migration"], "app");
    assert_eq!(report["phase"], "loaded");
    assert_eq!(report["held"], false);
    assert_eq!(report["rows_copied"], 200, "{report:#}");
    assert_eq!(report["parked_changes"], 0);
    assert_eq!(
        report["next_steps"][0],
        "trunkline run (goes on where it was)"
    );

    let mut follower = scene.start(&["run"]);
    follower.must_say("== verified").await;
    let watch = scene.start(&["status", "--watch", "--json"]);
    scene.source_says("UPDATE public.notes SET body = 'changed' WHERE id <= 10");
    scene.done(&["verify"]).await;
    trunkline_testkit::until(crate::scene::PATIENCE, async || {
        let report = status().await;
        report["rows_applied"].as_u64() >= Some(10) && report["held"] == true
    })
    .await;
    let report = status().await;
    assert_eq!(report["phase"], "verified");
    assert!(report["lag_bytes"].as_u64().is_some(), "{report:#}");
    assert!(report["wal_kept_bytes"].as_u64().is_some(), "{report:#}");
    assert!(report["applied_lsn"].as_str().is_some(), "{report:#}");
    assert_eq!(report["eta"], "now", "{report:#}");
    assert_eq!(
        report["next_steps"],
        serde_json::json!(["trunkline verify", "trunkline cutover"])
    );
    let text = scene.done(&["status"]).await.stdout;
    for line in [
        "app: verified (running)",
        "rows copied      200 of about 200",
    ] {
        assert!(text.contains(line), "{text}");
    }

    scene.done(&["cutover"]).await;
    follower.must_say("keeping the old side up to date").await;
    assert_eq!(status().await["phase"], "switched");
    scene.done(&["complete"]).await;
    let report = status().await;
    assert_eq!(report["phase"], "completed");
    assert_eq!(report["next_steps"], serde_json::json!([]));
    // The watch has seen one phase after the other, and ends with the migration.
    let watched = watch.ended().await.expect_code(0);
    let reports: Vec<Value> = serde_json::Deserializer::from_str(&watched.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("one JSON object after the other");
    assert_eq!(reports[0]["phase"], "verified", "{watched}");
    let last = reports.last().expect("a report");
    assert_eq!(last["phase"], "completed", "{watched}");
}
