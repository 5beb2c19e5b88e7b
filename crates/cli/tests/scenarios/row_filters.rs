//! Only some rows of a table move, as a table mapping of AWS DMS says; rows that come into
//! the filter, or leave it, do so on the target.

use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::Scene;

const WORLD: &str = "
    CREATE SCHEMA \"Shop\";
    CREATE TABLE \"Shop\".\"Orders\" (region text, id int, note text, secret text, PRIMARY KEY (region, id));
    CREATE TABLE \"Shop\".tmp_1 (id int PRIMARY KEY);
    CREATE TABLE public.unasked (id int PRIMARY KEY);
    INSERT INTO \"Shop\".\"Orders\" SELECT (ARRAY['eu','us','eu''s'])[1 + n % 3], n, 'n' || n, 's'
        FROM generate_series(1, 900) AS n";

const MAPPINGS: &str = r#"{"rules": [
    {"rule-type": "selection", "rule-id": "1", "rule-name": "orders", "rule-action": "include",
     "object-locator": {"schema-name": "Shop", "table-name": "Ord%"},
     "filters": [
        {"filter-type": "source", "column-name": "region", "filter-conditions": [
            {"filter-operator": "eq", "value": "eu"}, {"filter-operator": "eq", "value": "eu's"}]},
        {"filter-type": "source", "column-name": "id", "filter-conditions": [
            {"filter-operator": "between", "start-value": "100", "end-value": "2000"}]}]},
    {"rule-type": "selection", "rule-id": "2", "rule-name": "no tmp", "rule-action": "exclude",
     "object-locator": {"schema-name": "%", "table-name": "tmp[_]%"}},
    {"rule-type": "transformation", "rule-id": "3", "rule-name": "schema", "rule-action": "convert-lowercase",
     "rule-target": "schema", "object-locator": {"schema-name": "Shop"}},
    {"rule-type": "transformation", "rule-id": "4", "rule-name": "table", "rule-action": "rename",
     "rule-target": "table", "value": "orders_eu", "object-locator": {"schema-name": "Shop", "table-name": "Orders"}},
    {"rule-type": "transformation", "rule-id": "5", "rule-name": "no secret", "rule-action": "remove-column",
     "rule-target": "column", "object-locator": {"schema-name": "Shop", "table-name": "%", "column-name": "secret"}},
    {"rule-type": "transformation", "rule-id": "6", "rule-name": "prefix", "rule-action": "add-prefix",
     "rule-target": "column", "value": "o_", "object-locator": {"schema-name": "Shop", "table-name": "Orders", "column-name": "n%"}}
]}"#;

const CHANGES: &str = "
    UPDATE \"Shop\".\"Orders\" SET region = 'eu', note = 'came in' WHERE region = 'us' AND id % 5 = 0;
    UPDATE \"Shop\".\"Orders\" SET region = 'us', note = 'left' WHERE region = 'eu' AND id % 7 = 0;
    UPDATE \"Shop\".\"Orders\" SET note = 'changed' WHERE id % 11 = 0;
    UPDATE \"Shop\".\"Orders\" SET id = id + 1500 WHERE id % 13 = 0;
    DELETE FROM \"Shop\".\"Orders\" WHERE id % 17 = 0;
    INSERT INTO \"Shop\".\"Orders\" SELECT (ARRAY['eu','us'])[1 + n % 2], n, 'new', 's'
        FROM generate_series(901, 1100) AS n";

async fn scene_with_mappings(source: u32, target: u32) -> Scene {
    let mut scene = Scene::new(source, target).await.with(WORLD);
    // A path that is not absolute is seen from the plan file.
    std::fs::write(scene.path("dms.json"), MAPPINGS).expect("the mapping is written");
    scene.plan("[transform]\nmappings = \"dms.json\"\n");
    scene
}

fn assert_filtered(scene: &Scene) {
    let of = |columns: &str, from: &str| {
        format!(
            "SELECT count(*) || md5(string_agg(r, ',' ORDER BY r COLLATE \"C\")) FROM (SELECT row({columns})::text AS r FROM {from}) AS x"
        )
    };
    let wanted = of(
        "region, id, note",
        "\"Shop\".\"Orders\" WHERE region IN ('eu', 'eu''s') AND id BETWEEN 100 AND 2000",
    );
    let found = of("region, id, o_note", "shop.orders_eu");
    assert_eq!(scene.source_says(&wanted), scene.target_says(&found));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_table_mapping_move_and_rows_come_and_go_with_their_filter() {
    skip_unless_available!(15);
    skip_unless_available!(17);
    let scene = scene_with_mappings(15, 17).await;
    scene.done(&["run", "--until", "following"]).await;
    let published =
        scene.source_says("SELECT tablename || ' ' || attnames::text FROM pg_publication_tables");
    assert_eq!(published.trim(), "Orders {region,id,note}");
    assert_filtered(&scene);
    scene.source_says(CHANGES);
    scene.done(&["run", "--until", "verified"]).await;
    assert_filtered(&scene);
    // A row that should not be there is found.
    scene.target_says("INSERT INTO shop.orders_eu VALUES ('us', 5, 'not ours')");
    scene.trunkline(&["verify"]).await.expect_code(6);
    let refused = scene
        .trunkline(&["verify", "--repair"])
        .await
        .expect_code(9);
    refused.expect_said(&["is not mended"]);
    scene.target_says("DELETE FROM shop.orders_eu WHERE region = 'us'");
    scene.done(&["cutover", "--no-way-back"]).await;
    assert_filtered(&scene);
    scene.done(&["complete"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_the_source_cannot_follow_is_refused_by_the_check() {
    skip_unless_available!(13);
    let mut scene = scene_with_mappings(13, 13).await;
    let refused = scene.trunkline(&["check"]).await.expect_code(3);
    assert!(
        refused.stdout.contains("transform-filter-version"),
        "{refused}"
    );
    // A copy at rest needs no stream.
    scene.done(&["clone"]).await;
    assert_filtered(&scene);

    std::fs::write(
        scene.path("dms.json"),
        MAPPINGS.replace("add-prefix", "add-before-image-columns"),
    )
    .expect("written");
    let refused = scene.trunkline(&["check"]).await.expect_code(2);
    refused.expect_said(&["rule-id 6", "add-before-image-columns"]);
    scene.plan("rename_schemas = { a = \"b\" }\n");
    scene.trunkline(&["check"]).await.expect_code(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_would_stop_the_sources_clients_is_refused_by_the_check() {
    skip_unless_available!(any_major());
    if any_major() < 15 {
        return;
    }
    let mut scene = Scene::new(any_major(), any_major()).await.with(
        "CREATE TABLE public.t (id int PRIMARY KEY, region text);
         INSERT INTO public.t VALUES (1, 'eu'), (2, 'us')",
    );
    scene.plan("[[transform.tables]]\ntable = \"public.t\"\nwhere = \"region = 'eu'\"\n");
    let refused = scene.trunkline(&["check"]).await.expect_code(3);
    assert!(
        refused.stdout.contains("REPLICA IDENTITY FULL"),
        "{refused}"
    );
    scene.source_says("ALTER TABLE public.t REPLICA IDENTITY FULL");
    scene.done(&["run", "--until", "following"]).await;
    scene.source_says("UPDATE public.t SET region = 'eu' WHERE id = 2");
    scene.source_says("DELETE FROM public.t WHERE id = 1");
    scene.done(&["run", "--until", "verified"]).await;
    assert_eq!(scene.target_says("SELECT id FROM public.t").trim(), "2");
    scene.done(&["abort"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_comes_into_the_filter_without_its_large_value_is_never_half_written() {
    skip_unless_available!(any_major());
    if any_major() < 15 {
        return;
    }
    let mut scene = Scene::new(any_major(), any_major()).await.with(
        "CREATE TABLE public.t (region text, id int, note text, PRIMARY KEY (region, id));
         ALTER TABLE public.t ALTER COLUMN note SET STORAGE EXTERNAL;
         INSERT INTO public.t VALUES ('us', 1, repeat('x', 10000)), ('eu', 2, repeat('y', 10000))",
    );
    scene.plan("[[transform.tables]]\ntable = \"public.t\"\nwhere = \"region = 'eu'\"\n");
    scene.done(&["run", "--until", "following"]).await;
    scene.source_says("UPDATE public.t SET region = 'eu' WHERE id = 1");
    let stopped = scene.trunkline(&["run", "--until", "verified"]).await;
    stopped
        .expect_code(5)
        .expect_said(&["did not send all that is needed of the row"]);
    let half = "SELECT count(*) FROM public.t WHERE note IS NULL";
    assert_eq!(scene.target_says(half).trim(), "0");
    scene.done(&["abort"]).await;
}
