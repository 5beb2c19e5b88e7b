//! Any two databases compared as they are: no migration between them, nothing written on
//! either side, and every difference named.

use serde_json::{Value, json};
use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::{DATABASE, Scene};

/// Keys of several kinds, none at all, partitions, generated and odd names, large objects; and
/// the schema's rights as every version has them.
const WORLD: &str = "
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    CREATE TABLE public.people (id int PRIMARY KEY, name text, at timestamptz,
        size float8, length int GENERATED ALWAYS AS (length(name)) STORED);
    INSERT INTO public.people SELECT n, 'name ' || n, '2024-01-01'::timestamptz + n * '1 h'::interval,
        n / 3.0 FROM generate_series(1, 500) AS n;
    CREATE TABLE public.keyless (a int, b text);
    INSERT INTO public.keyless SELECT n % 5, 'x' FROM generate_series(1, 50) AS n;
    CREATE TABLE public.\"Odd \"\"name\" (\"K\" text, n numeric, doc jsonb, PRIMARY KEY (\"K\", n));
    INSERT INTO public.\"Odd \"\"name\" SELECT 'k' || n, n / 10.0, '{\"a\": [1]}' FROM generate_series(1, 100) AS n;
    CREATE UNLOGGED TABLE public.unlogged AS SELECT 1 AS one;
    CREATE TABLE public.no_columns ();
    INSERT INTO public.no_columns DEFAULT VALUES;
    CREATE TABLE public.empty (id serial PRIMARY KEY);
    CREATE TABLE public.parts (id int, note text) PARTITION BY RANGE (id);
    CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM (0) TO (100);
    CREATE TABLE public.parts_2 PARTITION OF public.parts FOR VALUES FROM (100) TO (1000);
    INSERT INTO public.parts SELECT n, 'p' FROM generate_series(0, 199) AS n;
    CREATE SEQUENCE public.numbers;
    SELECT setval('public.numbers', 41);
    SELECT lo_from_bytea(4711, decode(repeat('abcd', 300000), 'hex'));
    SELECT lo_from_bytea(4712, '')";

/// The same on both sides.
async fn twins(source: u32, target: u32, sql: &str) -> Scene {
    let scene = Scene::new(source, target).await.with(sql);
    scene.target_says(sql);
    scene
}

async fn twins_of_any(sql: &str) -> Scene {
    twins(any_major(), any_major(), sql).await
}

/// The report, which must come with this exit code.
async fn report(scene: &Scene, arguments: &[&str], code: i32) -> Value {
    let arguments = [&["verify", "--json"], arguments].concat();
    scene.trunkline(&arguments).await.expect_code(code).json()
}

fn table_names(report: &Value, key: &str) -> Vec<String> {
    let list = report[key].as_array().expect("a list");
    let name = |entry: &Value| entry["table"]["name"].as_str().expect("a name").to_owned();
    list.iter().map(name).collect()
}

/// The rows that differ, as `table kind key: columns`.
fn rows(report: &Value) -> Vec<String> {
    let list = report["row_differences"].as_array().expect("a list");
    let row = |row: &Value| {
        let key = row["key"].as_array().expect("a key").iter();
        let key: Vec<String> = key
            .map(|part| part["value"].as_str().unwrap_or("NULL").to_owned())
            .collect();
        let columns = row["columns"].as_array().expect("columns").iter();
        let columns: Vec<&str> = columns.filter_map(Value::as_str).collect();
        let (table, kind) = (&row["table"]["name"], &row["kind"]);
        let (table, kind) = (table.as_str(), kind.as_str());
        format!(
            "{} {} {}: {}",
            table.unwrap_or_default(),
            kind.unwrap_or_default(),
            key.join(","),
            columns.join(",")
        )
    };
    let mut rows: Vec<String> = list.iter().map(row).collect();
    rows.sort();
    rows
}

async fn are_equal(source: u32, target: u32) {
    let scene = twins(source, target, WORLD).await;
    let before = scene.catalogs().await;
    let ran = scene.done(&["verify", "--json"]).await;
    let ran = ran.expect_said(&["as they are: there is no migration `app` on the target"]);
    let report = ran.json();
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["equal"], true, "{report:#}");
    assert_eq!(report["partial"], false);
    assert_eq!(report["rows"], 500 + 50 + 100 + 1 + 1 + 200, "{report:#}");
    for list in [
        "differences",
        "row_differences",
        "busy_rows",
        "missing_tables",
        "columns_left_out",
        "sequence_differences",
        "errors",
    ] {
        assert_eq!(report[list], json!([]), "{list}: {report:#}");
    }
    let mut names = table_names(&report, "tables");
    names.sort();
    let all = [
        "Odd \"name",
        "empty",
        "keyless",
        "no_columns",
        "parts_1",
        "parts_2",
        "people",
        "unlogged",
    ];
    assert_eq!(names, all);
    assert_eq!(report["large_objects"]["source"], 2, "{report:#}");
    let text = scene.done(&["verify"]).await.stdout;
    assert!(text.contains("equal: 8 tables, 852 rows"), "{text}");
    assert_eq!(before, scene.catalogs().await, "something was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_equal_databases_are_equal_from_12_to_18() {
    skip_unless_available!(12, 18);
    are_equal(12, 18).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_equal_databases_are_equal_from_15_to_17() {
    skip_unless_available!(15, 17);
    are_equal(15, 17).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_equal_databases_are_equal_from_16_to_13() {
    skip_unless_available!(16, 13);
    are_equal(16, 13).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_and_a_whole_shop_are_equal_to_their_clone() {
    skip_unless_available!(14, 17);
    let scene = Scene::new(14, 17)
        .await
        .with_shop(1)
        .await
        .with_matrix()
        .await;
    scene.done(&["clone"]).await;
    let report = report(&scene, &["--alone"], 0).await;
    assert_eq!(report["equal"], true, "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_row_difference_is_named() {
    skip_unless_available!(any_major());
    let scene = twins_of_any(WORLD).await;
    scene.target_says(
        "DELETE FROM public.people WHERE id = 7;
         INSERT INTO public.people (id, name) VALUES (900, 'new');
         UPDATE public.people SET name = 'NAME 8', size = 1 WHERE id = 8;
         INSERT INTO public.keyless VALUES (1, 'x');
         UPDATE public.parts SET note = 'q' WHERE id = 150;
         UPDATE public.\"Odd \"\"name\" SET n = 5.00 WHERE \"K\" = 'k50'",
    );
    let report = report(&scene, &[], 6).await;
    assert_eq!(report["equal"], false);
    assert_eq!(
        rows(&report),
        [
            "Odd \"name extra k50,5.00: ",
            "Odd \"name missing k50,5.0000000000000000: ",
            "keyless duplicated : ",
            "parts_2 different : note",
            "people different 8: name,size",
            "people extra 900: ",
            "people missing 7: ",
        ],
        "{report:#}"
    );
    let text = scene.trunkline(&["verify"]).await.expect_code(6).stdout;
    for line in [
        "different: public.people: 1 missing, 1 extra, 1 different (500 rows on the source, 500 on the target)",
        "  different id = 8: name, size",
        "NOT equal: 8 tables",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_side_lacks_is_named_and_the_rest_compared() {
    skip_unless_available!(any_major());
    let scene = twins_of_any(WORLD).await;
    scene.target_says(
        "DROP TABLE public.keyless; CREATE TABLE public.more (id int);
         ALTER TABLE public.people DROP COLUMN at;
         ALTER TABLE public.empty ADD COLUMN extra int;
         DROP SEQUENCE public.numbers",
    );
    let found = report(&scene, &[], 6).await;
    let missing = &found["missing_tables"];
    let name = |name: &str| json!({"schema": "public", "name": name});
    assert_eq!(
        missing,
        &json!([
            {"table": name("keyless"), "on": "target"},
            {"table": name("more"), "on": "source"},
        ])
    );
    assert_eq!(found["row_differences"], json!([]), "{found:#}");
    let outcomes: Vec<&Value> = found["differences"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|verdict| &verdict["outcome"])
        .collect();
    assert_eq!(outcomes, ["missing_on_target", "missing_on_source"]);
    assert_eq!(
        found["columns_left_out"],
        json!([
            {"table": name("empty"), "column": "extra", "missing_on": "source"},
            {"table": name("people"), "column": "at", "missing_on": "target"},
        ])
    );
    assert_eq!(
        found["sequence_differences"][0]["outcome"],
        "missing_on_target"
    );
    let text = scene.trunkline(&["verify"]).await.expect_code(6).stdout;
    for line in [
        "missing on the target: public.keyless",
        "missing on the source: public.more",
        "sequence public.numbers: missing on the target",
        "structure: column public.people.at: missing on the target",
        "compared without the column at of public.people",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(text.matches("public.keyless").count(), 1, "{text}");
    // Only the structure, and only the contents.
    let structure = report(&scene, &["--no-data"], 6).await;
    assert_eq!(structure["tables"], json!([]));
    assert_ne!(structure["schema_differences"], json!([]));
    let contents = report(&scene, &["--no-schema", "--table", "public.people"], 0).await;
    assert_eq!(contents["schema_differences"], json!([]));
    assert_eq!(contents["columns_left_out"][0]["column"], "at");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_types_with_the_same_text_are_the_same_rows() {
    skip_unless_available!(any_major());
    let scene = Scene::new(any_major(), any_major()).await.with(
        "CREATE TABLE public.t (id int PRIMARY KEY, name varchar(20), n numeric);
         INSERT INTO public.t SELECT n, 'n' || n, n FROM generate_series(1, 300) AS n",
    );
    scene.target_says(
        "CREATE TABLE public.t (n int, id bigint PRIMARY KEY, name text);
         INSERT INTO public.t SELECT n, n, 'n' || n FROM generate_series(1, 300) AS n",
    );
    let equal = report(&scene, &["--no-schema"], 0).await;
    assert_eq!(equal["equal"], true, "{equal:#}");
    let typed = report(&scene, &[], 6).await;
    assert_eq!(typed["differences"], json!([]), "{typed:#}");
    scene.target_says("UPDATE public.t SET name = 'N5' WHERE id = 5");
    let found = report(&scene, &["--no-schema"], 6).await;
    assert_eq!(rows(&found), ["t different 5: name"], "{found:#}");
    let sampled = report(&scene, &["--no-schema", "--sample", "20%"], 0).await;
    let rows = sampled["rows"].as_u64().expect("a count");
    assert!((20..120).contains(&rows), "{rows} of 300");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_compared_with_what_stands_on_the_other_side() {
    skip_unless_available!(any_major());
    let scene = twins_of_any(WORLD).await;
    scene.target_says(
        "CREATE TABLE public.plain AS SELECT * FROM public.parts;
         DROP TABLE public.parts; ALTER TABLE public.plain RENAME TO parts",
    );
    let equal = report(&scene, &["--no-schema", "--table", "public.parts"], 0).await;
    assert_eq!(table_names(&equal, "tables"), ["parts"], "{equal:#}");
    scene.target_says("DELETE FROM public.parts WHERE id = 120");
    let found = report(&scene, &["--no-schema"], 6).await;
    assert_eq!(rows(&found), ["parts missing : "], "{found:#}");
    let place = &found["row_differences"][0]["source"]["relation"];
    assert_eq!(
        place.as_str().map(|name| name.replace('"', "")).as_deref(),
        Some("public.parts_2")
    );
    let leaf = ["--no-schema", "--table", "public.parts_1"];
    let found_one = report(&scene, &leaf, 6).await;
    assert_eq!(
        found_one["missing_tables"][0]["on"], "target",
        "{found_one:#}"
    );
    let without = ["--exclude", "public.part*", "--json"];
    let ran = scene
        .done(&[&["verify"][..], &without].concat())
        .await
        .json();
    assert_eq!(
        ran["partial"], true,
        "only what is in scope, the structure too"
    );
    // The other way round, and partitioned otherwise.
    scene.target_says(
        "DROP TABLE public.parts;
         CREATE TABLE public.parts (id int, note text) PARTITION BY RANGE (id);
         CREATE TABLE public.parts_1 PARTITION OF public.parts DEFAULT;
         INSERT INTO public.parts SELECT n, 'p' FROM generate_series(0, 199) AS n",
    );
    let equal = report(&scene, &["--no-schema"], 0).await;
    assert!(table_names(&equal, "tables").contains(&"parts".to_owned()));
    scene.source_says("UPDATE public.parts SET note = 'q' WHERE id = 3");
    let found = report(&scene, &["--no-schema"], 6).await;
    assert_eq!(rows(&found), ["parts different : note"], "{found:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequences_and_large_objects_that_differ_are_named() {
    skip_unless_available!(any_major());
    let scene = twins_of_any(WORLD).await;
    scene.target_says(
        "SELECT setval('public.numbers', 40), setval('public.empty_id_seq', 9);
         SELECT lo_put(4711, 1000000, 'x'), lo_unlink(4712);
         SELECT lo_from_bytea(4713, 'extra')",
    );
    let found = report(&scene, &[], 6).await;
    let sequences = found["sequence_differences"].as_array().expect("a list");
    let outcomes: Vec<String> = sequences
        .iter()
        .map(|s| format!("{} {}", s["sequence"]["name"], s["outcome"]).replace('"', ""))
        .collect();
    assert_eq!(outcomes, ["empty_id_seq ahead", "numbers behind"]);
    assert_eq!(
        found["large_objects"],
        json!({"source": 2, "target": 2, "differing": 3, "not_read": 0, "differences": [
            {"oid": 4711, "kind": "different"},
            {"oid": 4712, "kind": "missing"},
            {"oid": 4713, "kind": "extra"},
        ]})
    );
    // A hole in a large object reads as zeros, however it is stored.
    scene.target_says(
        "SELECT lo_unlink(4711), lo_unlink(4713); SELECT lo_from_bytea(4712, '');
         SELECT lo_from_bytea(4711, decode(repeat('abcd', 300000), 'hex'));
         SELECT setval('public.numbers', 41), setval('public.empty_id_seq', 1, false);
         SELECT lo_from_bytea(4714, decode(repeat('00', 300000), 'hex'))",
    );
    scene.source_says("SELECT lo_create(4714), lo_put(4714, 299999, '\\x00')");
    report(&scene, &[], 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_empty_databases_are_equal_and_one_that_is_not_there_is_said() {
    skip_unless_available!(any_major());
    let mut scene = Scene::new(any_major(), any_major()).await;
    let report = report(&scene, &[], 0).await;
    assert_eq!(
        (&report["equal"], &report["rows"]),
        (&json!(true), &json!(0))
    );
    for (variable, cluster, code) in [
        ("TRUNKLINE_SOURCE", scene.source.uri("gone"), 4),
        ("TRUNKLINE_TARGET", scene.target.uri("gone"), 5),
    ] {
        let there = if code == 4 {
            &scene.source
        } else {
            &scene.target
        };
        let there = there.uri(DATABASE);
        scene.reach(variable, &cluster);
        let ran = scene.trunkline(&["verify", "--name", "app"]).await;
        ran.expect_code(code)
            .expect_said(&["hint: there is no such database on that server"]);
        scene.reach(variable, &there);
    }
}
