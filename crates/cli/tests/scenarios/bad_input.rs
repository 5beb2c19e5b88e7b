//! What cannot work is refused before anything is touched: with the exit code for it, the name
//! of what is wrong, and what mends it.

use std::fs;

use serde_json::Value;
use trunkline_testkit::{Cluster, any_major, skip_unless_available, until};

use crate::scene::notes::{NOTES, notes};
use crate::scene::{DATABASE, PATIENCE, Scene};

/// Nothing listens there.
const NOBODY: &str = "postgres://postgres@127.0.0.1:1/app";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_cannot_be_read_is_refused_with_the_nearest_key() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    let path = scene.path("other.toml").display().to_string();
    for (text, said) in [
        ("[cutovr]\nmax_lag = \"1 MB\"\n", "did you mean `cutover`?"),
        (
            "[tables]\ninclud = [\"public.*\"]\n",
            "did you mean `include`?",
        ),
        ("[migration]\nroute = \"strem\"\n", "did you mean `stream`?"),
        (
            "[cutover]\nmax_pause = \"soon\"\n",
            "`max_pause = \"soon\"` is not a duration",
        ),
        (
            "[budget]\nwal_kept_stop = \"much\"\n",
            "`wal_kept_stop = \"much\"` is not a size",
        ),
        ("[seed]\njobs = 0\n", "`jobs` is 0"),
        ("[source\n", "other.toml"),
    ] {
        fs::write(&path, text).expect("the plan is written");
        let ran = scene.trunkline(&["run", "--plan", &path]).await;
        ran.expect_code(2).expect_said(&["error: ", "hint: ", said]);
    }
    scene.assert_nothing_of_ours().await;
    assert!(!scene.migration_folder().exists(), "nothing was begun");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_typed_wrongly_is_a_usage_error() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    for arguments in [
        &[][..],
        &["mvoe"],
        &["run", "--untl", "loaded"],
        &["run", "--until", "somewhen"],
        &["run", "--table-jobs", "many"],
        &["run", "--table-jobs", "0"],
        &["run", "--split-tables-larger-than", "much"],
        &["run", "--include", "public.~/(/"],
        &["run", "--source", "postgres://postgres@127.0.0.1:port/app"],
        &["run", "--source", "hots=127.0.0.1"],
        &["cutover", "--max-pause", "soon"],
        &["cutover", "--max-lag", "little"],
        &["sql", "everything"],
        &["run", "--filters", "/dev/null", "--include", "public.notes"],
    ] {
        let ran = scene.trunkline(arguments).await.expect_code(2);
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{ran}");
    }
    let bare = scene.program().clone().without("TRUNKLINE_SOURCE");
    let ran = bare.run(&["run"]).await.expect_code(2);
    ran.expect_said(&["the source is not given", "--source"]);
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_matches_nothing_is_refused_with_the_nearest_name() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    for (command, option) in [
        ("check", "--include"),
        ("plan", "--exclude"),
        ("run", "--include"),
        ("run", "--exclude"),
        ("clone", "--include"),
    ] {
        let ran = scene.trunkline(&[command, option, "public.nots"]).await;
        let said = ["`public.nots` matches nothing", "public.notes"];
        ran.expect_code(2).expect_said(&said);
    }
    let filters = scene.path("filters.ini");
    fs::write(&filters, "[exclude-table]\npublic.nots\n").expect("the filters are written");
    let filters = filters.display().to_string();
    let ran = scene.trunkline(&["run", "--filters", &filters]).await;
    ran.expect_code(2).expect_said(&["public.notes"]);
    scene.assert_nothing_of_ours().await;
    // None of it is remembered.
    scene.done(&["run", "--until", "verified"]).await;
    scene.assert_same_rows().await;
}

/// Anybody comes in as `postgres`; `locked` only with the password.
fn locked() -> Cluster {
    let hba = "local all all trust\nhost all locked 127.0.0.1/32 scram-sha-256\n\
               host all postgres 127.0.0.1/32 trust\n";
    let cluster = Cluster::builder(any_major()).hba(hba).start();
    let role = "CREATE ROLE locked LOGIN SUPERUSER PASSWORD 'r1ght-Secret'";
    cluster.psql("postgres", role);
    cluster
}

fn with_password(cluster: &Cluster, password: &str) -> String {
    let login = format!("locked:{password}@");
    cluster.uri(DATABASE).replace("postgres@", &login)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_never_said_whether_it_is_right_or_wrong() {
    skip_unless_available!(any_major());
    let scene = Scene::of(locked(), locked(), DATABASE).await.with(NOTES);
    let wrong = |cluster| with_password(cluster, "wr%40ng-S3cret");
    let sides = [
        ("--source", 4, wrong(&scene.source)),
        ("--target", 5, wrong(&scene.target)),
    ];
    for (option, code, uri) in &sides {
        let side = option.trim_start_matches('-');
        for arguments in [
            &["run"][..],
            &["run", "--json"],
            &["run", "-vv", "--log-format", "json"],
            &["check", "-vv", "--json"],
            &["clone", "-vv"],
        ] {
            let arguments = [arguments, &[option, uri]].concat();
            let ran = scene.program().run(&arguments).await.expect_code(*code);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(said.contains(side), "it names the side: {ran}");
            assert!(!said.contains("ng-S3cret"), "said of the {side}");
        }
    }
    assert!(!scene.migration_folder().exists() || !tree(&scene).contains("ng-S3cret"));

    let (source, target) = (
        with_password(&scene.source, "r1ght-Secret"),
        with_password(&scene.target, "r1ght-Secret"),
    );
    let arguments = ["--source", &source, "--target", &target, "-vv"];
    let run = [&["run", "--until", "verified"][..], &arguments].concat();
    let ran = scene.trunkline(&run).await.expect_code(0);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("r1ght-Secret"));
    assert!(
        !tree(&scene).contains("r1ght-Secret"),
        "in the migration's folder"
    );
    let journal = "SELECT string_agg(entry::text, '') FROM trunkline.journal";
    assert!(
        !scene.target_says(journal).contains("r1ght-Secret"),
        "in the journal"
    );
    for cluster in [&scene.source, &scene.target] {
        let sessions = "SELECT string_agg(query || application_name, ' ') FROM pg_stat_activity";
        assert!(!cluster.psql(DATABASE, sessions).contains("r1ght-Secret"));
    }
    scene.assert_same_rows().await;
}

/// Everything that stands in the migration's folder.
fn tree(scene: &Scene) -> String {
    let mut text = String::new();
    let mut folders = vec![scene.migration_folder()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(path).expect("the file can be read");
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    }
    assert!(!text.is_empty(), "there are files");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_reached_is_named_by_its_side() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    let missing = |cluster: &Cluster| cluster.uri("nowhere");
    let (source, target) = (missing(&scene.source), missing(&scene.target));
    for (option, code, uri) in [
        ("--source", 4, NOBODY),
        ("--source", 4, &source),
        ("--target", 5, NOBODY),
        ("--target", 5, &target),
    ] {
        let side = option.trim_start_matches('-');
        for command in ["check", "run", "clone"] {
            let ran = scene.trunkline(&[command, option, uri, "--json"]).await;
            let report = ran.expect_code(code).json();
            assert_eq!(report["side"], side, "{report:#}");
            assert_eq!(report["exit_code"], code, "{report:#}");
            let error = report["error"].as_str().expect("an error");
            assert!(error.contains(side), "{error}");
        }
    }
    scene.assert_nothing_of_ours().await;
}

fn findings(report: &Value) -> Vec<Value> {
    report["findings"].as_array().expect("findings").clone()
}

/// Each blocker's statement is run where it says, until nothing stands in the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_rights_is_told_the_statements_that_mend_it() {
    let major = any_major();
    skip_unless_available!(major);
    let mut scene = notes().await.with(
        "CREATE ROLE app_owner; ALTER TABLE public.notes OWNER TO app_owner;
         CREATE ROLE weak LOGIN; REVOKE ALL ON DATABASE postgres FROM PUBLIC",
    );
    scene.target_says("CREATE ROLE weak LOGIN");
    for (variable, cluster) in [("TRUNKLINE_SOURCE", 0), ("TRUNKLINE_TARGET", 1)] {
        let cluster = [&scene.source, &scene.target][cluster];
        let uri = cluster.uri(DATABASE).replace("postgres@", "weak@");
        scene.reach(variable, &uri);
    }
    let ran = scene.trunkline(&["run"]).await.expect_code(3);
    ran.expect_said(&[
        "ALTER ROLE \"weak\" REPLICATION;",
        "GRANT \"app_owner\" TO \"weak\";",
    ]);
    scene.assert_nothing_of_ours().await;

    let mut mended = 0;
    for _ in 0..4 {
        let ran = scene.trunkline(&["check", "--json"]).await;
        if ran.code == Some(0) {
            break;
        }
        let report = ran.expect_code(3).json();
        for blocker in findings(&report) {
            if blocker["severity"] != "blocker" {
                continue;
            }
            let remedy = blocker["remedy"].as_str().expect("a remedy");
            let cluster = if blocker["side"] == "source" {
                &scene.source
            } else {
                &scene.target
            };
            cluster.psql(DATABASE, remedy);
            mended += 1;
        }
    }
    assert!(mended >= 4, "{mended}");
    scene.done(&["run", "--until", "verified"]).await;
    scene.assert_same_rows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_not_empty_is_listed_and_replaced_only_on_demand() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.target_says(
        "CREATE TABLE public.notes (id int, other text); INSERT INTO public.notes VALUES (1);
         CREATE TABLE public.kept (id int); INSERT INTO public.kept VALUES (7)",
    );
    for command in ["check", "run", "clone"] {
        let ran = scene.trunkline(&[command]).await.expect_code(3);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        for text in ["object-exists", "public.notes", "--drop-if-exists"] {
            assert!(said.contains(text), "{text}: {ran}");
        }
        assert!(
            !said.contains("object-exists [target] public.kept"),
            "{ran}"
        );
    }
    assert_eq!(scene.target_says("SELECT count(*) FROM public.notes"), "1");

    scene
        .done(&["run", "--until", "verified", "--drop-if-exists"])
        .await;
    assert_eq!(
        scene.target_says("SELECT id FROM public.kept"),
        "7",
        "not ours to drop"
    );
    scene.target_says("DROP TABLE public.kept");
    scene.assert_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_in_recovery_is_refused_for_a_live_move() {
    let major = any_major();
    skip_unless_available!(major);
    let mut scene = notes().await;
    let standby = Cluster::builder(major)
        .base_backup_of(&scene.source, &["-R"])
        .start();
    until(PATIENCE, async || {
        standby.psql(DATABASE, "SELECT count(*) FROM public.notes") == "200"
    })
    .await;
    scene.reach("TRUNKLINE_SOURCE", &standby.uri(DATABASE));
    let ran = scene.trunkline(&["run"]).await.expect_code(3);
    let said = [
        "in-recovery [source]",
        "point the source's conninfo at the primary",
    ];
    ran.expect_said(&said);
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_cannot_be_told_apart_is_refused_with_what_mends_it() {
    skip_unless_available!(any_major());
    let scene = notes().await.with(
        "CREATE TABLE public.\"No Key\" (a int, b text);
         INSERT INTO public.\"No Key\" VALUES (1, 'x'), (1, 'x')",
    );
    let remedy = "ALTER TABLE \"public\".\"No Key\" REPLICA IDENTITY FULL;";
    let ran = scene.trunkline(&["run"]).await.expect_code(3);
    ran.expect_said(&["replica-identity [source]", remedy]);
    let report = scene
        .trunkline(&["run", "--json"])
        .await
        .expect_code(3)
        .json();
    let found = findings(&report);
    let blocker = found.iter().find(|found| found["severity"] == "blocker");
    let blocker = blocker.expect("a blocker");
    assert_eq!(blocker["code"], "replica-identity", "{report:#}");
    assert_eq!(blocker["remedy"], remedy, "{report:#}");
    scene.assert_nothing_of_ours().await;

    let scene = scene.with(remedy);
    scene.done(&["run", "--until", "following"]).await;
    let scene = scene.with("DELETE FROM public.\"No Key\" WHERE ctid = '(0,1)'");
    scene.done(&["run", "--until", "verified"]).await;
    scene.assert_same_rows().await;
}
