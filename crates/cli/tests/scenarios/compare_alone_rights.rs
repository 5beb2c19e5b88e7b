//! A comparison by those who may only read: plain roles, standbys, and tables that are closed
//! to them.

use serde_json::{Value, json};
use trunkline_testkit::{Cluster, any_major, skip_unless_available, until};

use crate::scene::notes::{NOTES, notes};
use crate::scene::{DATABASE, PATIENCE, Scene};

const READER: &str = "
    CREATE ROLE reader LOGIN;
    REVOKE CREATE ON SCHEMA public FROM PUBLIC; REVOKE TEMPORARY ON DATABASE app FROM PUBLIC;
    CREATE SEQUENCE public.numbers;
    CREATE TABLE public.keyless AS SELECT n % 3 AS n FROM generate_series(1, 30) AS n;
    CREATE SCHEMA closed; CREATE TABLE closed.away (id int);
    CREATE TABLE public.hidden (id int);
    CREATE TABLE public.guarded (id int); ALTER TABLE public.guarded ENABLE ROW LEVEL SECURITY;
    SELECT lo_from_bytea(4711, 'a'), lo_from_bytea(4712, 'b');
    GRANT SELECT ON LARGE OBJECT 4711 TO reader;
    GRANT USAGE ON SCHEMA public TO reader;
    GRANT SELECT ON public.notes, public.keyless TO reader;
    GRANT SELECT ON public.numbers TO reader";

/// Both sides reached by a role that may read.
async fn read_only(source: u32, target: u32) -> Scene {
    let mut scene = Scene::new(source, target).await.with(NOTES).with(READER);
    scene.target_says(NOTES);
    scene.target_says(READER);
    for (variable, uri) in [
        ("TRUNKLINE_SOURCE", scene.source.uri(DATABASE)),
        ("TRUNKLINE_TARGET", scene.target.uri(DATABASE)),
    ] {
        scene.reach(variable, &uri.replace("postgres@", "reader@"));
    }
    scene
}

const DOCUMENTED: &str = include_str!("../../../../docs/verify.md");

/// The first block of a language in the documentation.
fn documented(language: &str) -> &'static str {
    let (_, after) = DOCUMENTED
        .split_once(&format!("```{language}\n"))
        .expect("a block");
    after.split_once("```").expect("a block ends").0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_role_gets_the_documented_report() {
    skip_unless_available!(any_major());
    let items = "
        REVOKE ALL ON DATABASE app FROM PUBLIC;
        CREATE TABLE public.items (id serial PRIMARY KEY, note text, price numeric(10, 2));
        INSERT INTO public.items (note) SELECT 'item' FROM generate_series(1, 1000)";
    let mut scene = Scene::new(any_major(), any_major()).await.with(items);
    scene.target_says(items);
    scene.source_says("CREATE TABLE public.audit (id int)");
    scene.target_says(
        "DELETE FROM public.items WHERE id = 17;
         UPDATE public.items SET note = 'other' WHERE id = 500;
         ALTER TABLE public.items ALTER COLUMN price TYPE numeric;
         SELECT setval('public.items_id_seq', 900)",
    );
    scene.source_says(documented("sql"));
    scene.target_says(documented("sql"));
    for (variable, uri) in [
        ("TRUNKLINE_SOURCE", scene.source.uri(DATABASE)),
        ("TRUNKLINE_TARGET", scene.target.uri(DATABASE)),
    ] {
        scene.reach(variable, &uri.replace("postgres@", "reader@"));
    }
    let ran = scene.trunkline(&["verify"]).await.expect_code(6);
    // The rows of a table come in the order of their hashes, which other versions make otherwise.
    let lines = |text: &str| {
        let (text, _time) = text.rsplit_once(" in ").expect("how long it took");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&ran.stdout), lines(documented("text")), "{ran}");
}

/// What could not be compared, as `name side: why`.
fn errors(report: &Value) -> Vec<String> {
    let list = report["errors"].as_array().expect("a list").iter();
    let error = |e: &Value| {
        let name = e["name"]["name"].as_str().unwrap_or("large objects");
        let (side, why) = (e["side"].as_str(), e["why"].as_str());
        format!(
            "{name} {}: {}",
            side.unwrap_or_default(),
            why.unwrap_or_default()
        )
    };
    let mut errors: Vec<String> = list.map(error).collect();
    errors.sort();
    errors
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_only_read_is_enough_and_what_is_closed_is_said() {
    skip_unless_available!(13, 17);
    let scene = read_only(13, 17).await;
    let all = ["verify", "--json"];
    let report = scene.trunkline(&all).await.expect_code(4).json();
    assert_eq!(report["equal"], false, "{report:#}");
    assert_eq!(report["differences"], json!([]), "{report:#}");
    assert_eq!(report["rows"], 230, "{report:#}");
    let side = |side: &str| {
        [
            format!("away {side}: permission denied for schema closed"),
            format!("guarded {side}: permission denied"),
            format!("hidden {side}: permission denied"),
            format!("large objects {side}: permission denied for 1 of them"),
        ]
    };
    let mut wanted = [side("source"), side("target")].concat();
    wanted.sort();
    assert_eq!(errors(&report), wanted);
    let open = "--table=public.notes";
    scene.done(&["verify", open]).await;
    // Only the target refuses.
    let grants = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader; \
                  GRANT USAGE ON SCHEMA closed TO reader; \
                  GRANT SELECT ON closed.away TO reader; \
                  GRANT SELECT ON LARGE OBJECT 4712 TO reader";
    scene.source_says(grants);
    scene.source_says("ALTER TABLE public.guarded DISABLE ROW LEVEL SECURITY");
    let all = ["verify", "--no-schema", "--json"];
    let report = scene.trunkline(&all).await.expect_code(5).json();
    assert!(
        errors(&report).iter().all(|e| e.contains(" target: ")),
        "{report:#}"
    );
    // Once there are differences, they are what counts.
    scene.target_says("UPDATE public.notes SET body = 'changed' WHERE id = 50");
    let ran = scene.trunkline(&["verify"]).await.expect_code(6);
    for line in [
        "  different id = 50: body",
        "not compared: public.hidden: target: permission denied",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {ran}");
    }
    scene.target_says("UPDATE public.notes SET body = 'note 50' WHERE id = 50");
    // Granted as a whole, but its rows are guarded.
    scene.target_says(grants);
    let report = scene.trunkline(&all).await.expect_code(5).json();
    let guarded = "guarded target: row-level security would hide rows from this role";
    assert_eq!(errors(&report), [guarded], "{report:#}");
    assert_eq!(
        report["differences"],
        json!([]),
        "only the structure differs"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_fails_while_it_is_read_does_not_end_the_others() {
    skip_unless_available!(any_major());
    let sql = "CREATE TYPE public.mood AS ENUM ('good', 'bad');
               CREATE TABLE public.moods (id int PRIMARY KEY, mood public.mood);
               INSERT INTO public.moods VALUES (1, 'bad');
               CREATE TABLE public.after (id int PRIMARY KEY);
               INSERT INTO public.after SELECT generate_series(1, 100)";
    let scene = notes().await.with(sql);
    scene.target_says(NOTES);
    scene.target_says(sql);
    scene.target_says("DELETE FROM public.after WHERE id = 5");
    // Catalogs that were tampered with, as a value that cannot be read.
    scene.target_says("DELETE FROM pg_enum WHERE enumlabel = 'bad'");
    let verify = ["verify", "--no-schema", "--json"];
    let report = scene.trunkline(&verify).await.expect_code(6).json();
    let row = &report["row_differences"][0];
    assert_eq!(row["key"][0]["value"], "5", "{report:#}");
    assert_eq!(report["tables"].as_array().map(Vec::len), Some(2));
    let unread = errors(&report);
    assert_eq!(unread.len(), 1, "{report:#}");
    assert!(unread[0].starts_with("moods target: "), "{unread:?}");
    assert!(
        unread[0].contains("invalid internal value for enum"),
        "{unread:?}"
    );
    scene.target_says("INSERT INTO public.after VALUES (5)");
    scene.trunkline(&verify).await.expect_code(5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_can_be_either_side() {
    skip_unless_available!(any_major());
    let mut scene = notes().await;
    scene.source_says("CREATE TABLE public.keyless AS SELECT 1 AS n FROM generate_series(1, 9)");
    let standby = Cluster::builder(any_major())
        .base_backup_of(&scene.source, &["-R"])
        .start();
    until(PATIENCE, async || {
        standby.psql(DATABASE, "SELECT count(*) FROM public.keyless") == "9"
    })
    .await;
    assert_eq!(standby.psql(DATABASE, "SELECT pg_is_in_recovery()"), "t");
    let primary = scene.source.uri(DATABASE);
    for (source, target) in [
        (&standby.uri(DATABASE), &primary),
        (&primary, &standby.uri(DATABASE)),
    ] {
        scene.reach("TRUNKLINE_SOURCE", source);
        scene.reach("TRUNKLINE_TARGET", target);
        let report = scene.done(&["verify", "--json"]).await.json();
        assert_eq!(report["rows"], 209, "{report:#}");
    }
    // Another server that should be the same as the standby.
    scene.reach("TRUNKLINE_SOURCE", &standby.uri(DATABASE));
    scene.reach("TRUNKLINE_TARGET", &scene.target.uri(DATABASE));
    scene.target_says(NOTES);
    scene.target_says("CREATE TABLE public.keyless AS SELECT 1 AS n FROM generate_series(1, 8)");
    let report = scene
        .trunkline(&["verify", "--json"])
        .await
        .expect_code(6)
        .json();
    assert_eq!(
        report["row_differences"][0]["kind"], "missing",
        "{report:#}"
    );
    // What a standby does not have is said, and not taken for empty.
    scene.source_says("CREATE UNLOGGED TABLE public.unlogged (id int)");
    scene.target_says("CREATE UNLOGGED TABLE public.unlogged (id int)");
    scene.target_says("INSERT INTO public.keyless VALUES (1)");
    until(PATIENCE, async || {
        standby.psql(
            DATABASE,
            "SELECT to_regclass('public.unlogged') IS NOT NULL",
        ) == "t"
    })
    .await;
    let report = scene
        .trunkline(&["verify", "--json"])
        .await
        .expect_code(4)
        .json();
    let why = "unlogged source: it is unlogged, and a standby does not have its rows";
    assert_eq!(errors(&report), [why], "{report:#}");
}
