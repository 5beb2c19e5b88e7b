//! The moment that must not go wrong quietly: the fence, the deadline, the hooks, and what
//! the report says.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use trunkline_testkit::contents::catalog;
use trunkline_testkit::{
    Cluster, FaultyProxy, any_major, skip_unless_available, try_connect, until,
};

use crate::scene::{DATABASE, Ran, Scene, assert_same_catalog, seed};

/// A small migration that is ready for its cutover.
async fn verified(scene: Scene) -> Scene {
    scene.done(&["run", "--until", "verified"]).await;
    scene
}

async fn shop() -> Scene {
    let major = any_major();
    Scene::new(major, major).await.with_shop(1).await
}

async fn writes(client: &Client) -> Result<u64, tokio_postgres::Error> {
    let insert = "INSERT INTO shop.journal (entry) VALUES ('a client')";
    client.execute(insert, &[]).await
}

/// The cutover was given up: exit 7, and the source serves as before.
async fn assert_given_back(scene: &Scene, before: &str, ran: Ran) -> Value {
    let report = ran.expect_code(7).json();
    assert_eq!(report["outcome"], "aborted", "{report:#}");
    let client = scene.on_source().await;
    writes(&client)
        .await
        .expect("the source takes writes again");
    let after = catalog(&client).await;
    assert_same_catalog("source", before, &after);
    report
}

async fn source_catalog(scene: &Scene) -> String {
    catalog(&scene.on_source().await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fence_ends_a_superusers_open_session_and_lets_nobody_write_afterwards() {
    skip_unless_available!(any_major());
    let scene = shop().await;
    scene.target.psql("postgres", "CREATE ROLE plain LOGIN");
    let scene = scene.with(
        "CREATE ROLE plain LOGIN; GRANT USAGE ON SCHEMA shop TO plain; \
         GRANT INSERT ON shop.journal TO plain; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA shop TO plain; \
         ALTER ROLE plain SET default_transaction_read_only = off",
    );
    let scene = verified(scene).await;
    let open = scene.on_source().await;
    writes(&open).await.expect("before the cutover");
    let as_plain = scene.source.uri(DATABASE).replace("postgres@", "plain@");
    let plain = trunkline_testkit::connect(&as_plain).await;
    writes(&plain).await.expect("before the cutover");

    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(
        report["source_after"], "readable_by_superusers",
        "{report:#}"
    );
    for client in [&open, &plain] {
        assert!(
            writes(client).await.is_err(),
            "an open session still writes"
        );
    }
    assert!(
        try_connect(&as_plain).await.is_err(),
        "an ordinary role comes in"
    );
    let again = scene.on_source().await;
    let refused = writes(&again).await.expect_err("a superuser writes");
    assert_eq!(
        refused.code().map(SqlState::code),
        Some("25006"),
        "{refused}"
    );
    scene.assert_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superuser_whose_settings_would_let_it_write_keeps_the_source_closed() {
    skip_unless_available!(any_major());
    let scene = shop().await.with(
        "CREATE ROLE chief LOGIN SUPERUSER; ALTER ROLE chief SET default_transaction_read_only = off",
    );
    let before = source_catalog(&scene).await;
    let scene = verified(scene).await;
    let refused = scene.trunkline(&["cutover"]).await;
    refused
        .expect_code(9)
        .expect_said(&["chief", "--no-way-back"]);
    let cutover = ["cutover", "--json", "--no-way-back"];
    let report = scene.done(&cutover).await.json();
    assert_eq!(report["source_after"], "closed", "{report:#}");
    for role in ["postgres@", "chief@"] {
        let uri = scene.source.uri(DATABASE).replace("postgres@", role);
        assert!(try_connect(&uri).await.is_err(), "{role} comes in");
    }
    scene.done(&["complete"]).await;
    let after = source_catalog(&scene).await;
    assert_same_catalog("source", &before, &after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prepared_transaction_is_named_and_the_source_given_back() {
    let major = any_major();
    skip_unless_available!(major);
    let builder = Cluster::builder(major).setting("max_prepared_transactions", "5");
    let scene = Scene::of(builder.start(), Cluster::start(major), DATABASE).await;
    let scene = verified(scene.with_shop(1).await).await;
    // Prepared when the comparison, whose slot would wait for it, is over.
    let hold = format!(
        "psql -X -q -d '{}' -c \"BEGIN; INSERT INTO shop.journal (entry) VALUES ('pending'); \
         PREPARE TRANSACTION 'a pending one'\"",
        scene.source.uri(DATABASE)
    );
    let mut scene = scene;
    scene.plan(&format!(
        "[cutover]\ntraffic = {{ kind = \"command\", hold = '''{hold}''' }}\n"
    ));
    let before = source_catalog(&scene).await;
    let ran = scene
        .trunkline(&["cutover", "--json", "--max-pause", "8s"])
        .await;
    let client = scene.on_source().await;
    client
        .batch_execute("COMMIT PREPARED 'a pending one'")
        .await
        .expect("it is still there");
    let report = assert_given_back(&scene, &before, ran).await;
    let reason = report["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("a pending one"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_see_the_scene_and_run_in_order() {
    skip_unless_available!(any_major());
    let mut scene = verified(shop().await).await;
    let told = scene.path("told");
    let hook = |step: &str| {
        format!(
            "{step} = '''echo \"$TRUNKLINE_STEP $TRUNKLINE_SERVES $TRUNKLINE_MIGRATION \
             $TRUNKLINE_SOURCE $TRUNKLINE_TARGET\" >> {}'''",
            told.display()
        )
    };
    let hooks: Vec<String> = ["hold", "switch", "release", "verify"].map(hook).to_vec();
    scene.plan(&format!(
        "[cutover]\ntraffic = {{ kind = \"command\", {} }}\n",
        hooks.join(", ")
    ));
    scene.done(&["cutover"]).await;
    let (source, target) = (scene.source.port(), scene.target.port());
    let line = |step: &str, serves: &str| {
        format!("{step} {serves} app 127.0.0.1:{source}/app 127.0.0.1:{target}/app\n")
    };
    let expected = [
        line("hold", "source"),
        line("switch", "target"),
        line("release", "target"),
        line("verify", "target"),
    ];
    let text = std::fs::read_to_string(&told).expect("the hooks ran");
    assert_eq!(text, expected.concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_fails_releases_the_clients_to_the_source() {
    skip_unless_available!(any_major());
    let mut scene = verified(shop().await).await;
    let told = scene.path("told");
    scene.plan(&format!(
        "[cutover]\ntraffic = {{ kind = \"command\", hold = 'echo no pooler >&2; exit 3', \
         release = '''echo \"released to $TRUNKLINE_SERVES\" >> {}''' }}\n",
        told.display()
    ));
    let before = source_catalog(&scene).await;
    let ran = scene.trunkline(&["cutover", "--json"]).await;
    let report = assert_given_back(&scene, &before, ran).await;
    let reason = report["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("no pooler"), "{report:#}");
    let text = std::fs::read_to_string(&told).expect("clients were released");
    assert_eq!(text, "released to source\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_would_be_too_long_gives_the_source_back() {
    skip_unless_available!(any_major());
    let scene = verified(shop().await).await;
    let before = source_catalog(&scene).await;
    let ran = scene
        .trunkline(&["cutover", "--json", "--max-pause", "1ms"])
        .await;
    assert_given_back(&scene, &before, ran).await;
    // Nothing is left in its way.
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_stalls_in_the_pause_gives_the_source_back_in_time() {
    skip_unless_available!(any_major());
    let mut scene = shop().await;
    let proxy = FaultyProxy::start(scene.target.port()).await;
    scene.reach("TRUNKLINE_TARGET", &proxy.uri(DATABASE));
    let scene = verified(scene).await;
    let before = source_catalog(&scene).await;
    let mut running = scene.start(&["cutover", "--json", "--max-pause", "3s"]);
    // The fence stands; the target is silent from now on, and the source is given back.
    running.must_say("draining to the barrier").await;
    proxy.freeze();
    let uri = scene.source.uri(DATABASE);
    until(Duration::from_mins(1), async || {
        match try_connect(&uri).await {
            Ok(client) => writes(&client).await.is_ok(),
            Err(_) => false,
        }
    })
    .await;
    proxy.thaw();
    let ran = running.ended().await;
    assert_given_back(&scene, &before, ran).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cutover_takes_over_from_a_run_that_follows_and_the_run_goes_on_the_way_back() {
    skip_unless_available!(any_major());
    let scene = shop().await;
    let clients = scene.clients(seed());
    let mut running = scene.start(&["run"]);
    running.must_say("== verified").await;

    let status = scene.done(&["status", "--json"]).await.json();
    for field in [
        "lag_bytes",
        "lag_seconds",
        "wal_kept_bytes",
        "rows_copied",
        "rows_total",
        "rows_applied",
    ] {
        assert!(status[field].is_number(), "{field} in {status:#}");
    }
    assert_eq!(status["phase"], "verified");
    assert_eq!(status["held"], true);
    assert!(status.get("eta_seconds").is_some());
    assert!(
        status["next_steps"]
            .as_array()
            .is_some_and(|steps| !steps.is_empty())
    );

    let held = scene.trunkline(&["run"]).await.expect_code(9);
    assert!(held.stderr.contains("another run"), "{held}");

    let report = scene.done(&["cutover", "--json"]).await.json();
    running.must_say("keeping the old side up to date").await;
    clients.stop().await;
    assert_report(&report);
    scene.assert_same().await;
    let status = scene.done(&["status", "--json"]).await.json();
    assert_eq!(status["phase"], "switched");
    assert_eq!(status["serves"], "target");
    assert!(status["lag_bytes"].is_number(), "{status:#}");
    scene.done(&["complete"]).await;
    running.ended().await.expect_code(0);
}

/// Every field that a cutover's report promises.
fn assert_report(report: &Value) {
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["outcome"], "switched");
    let lsn = |field: &str| -> u64 {
        let text = report[field].as_str().unwrap_or_default();
        let (high, low) = text
            .split_once('/')
            .unwrap_or_else(|| panic!("{field} in {report:#}"));
        let part = |hex| u64::from_str_radix(hex, 16).expect("an LSN");
        (part(high) << 32) | part(low)
    };
    assert!(lsn("applied_lsn") >= lsn("barrier_lsn") && lsn("barrier_lsn") > 0);
    let pause = report["pause_ms"].as_f64().expect("a pause");
    assert!(pause > 0.0 && pause < 30_000.0, "{pause}");
    let set = report["sequences"]["set"].as_u64().expect("sequences set");
    assert_eq!(report["sequences"]["verified"].as_u64(), Some(set));
    assert!(set >= 3, "{set} sequences");
    let tables = report["tables"].as_array().expect("tables");
    assert_eq!(tables.len(), 10, "{tables:#?}");
    assert_eq!(report["differences"], serde_json::json!([]));
    assert_eq!(report["parked_changes"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_change_blocks_the_cutover() {
    skip_unless_available!(any_major());
    let mut scene = shop().await;
    scene.plan("[apply]\non_conflict = \"park\"\n");
    let scene = verified(scene).await;
    let target = scene.on_target().await;
    let taken = "SET session_replication_role = replica; \
                 DELETE FROM shop.customers WHERE id = 7";
    target
        .batch_execute(taken)
        .await
        .expect("a row is taken away");
    let source = scene.on_source().await;
    let changed = "UPDATE shop.customers SET name = 'changed' WHERE id = 7";
    source
        .batch_execute(changed)
        .await
        .expect("it is changed on the source");
    scene.trunkline(&["verify"]).await.expect_code(6);
    let status = scene.done(&["status", "--json"]).await.json();
    assert_eq!(status["parked_changes"], 1, "{status:#}");
    let ran = scene.trunkline(&["cutover", "--json"]).await.expect_code(9);
    assert!(ran.stderr.contains("parked"), "{ran}");
    writes(&source).await.expect("the source serves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_blocks_the_cutover() {
    skip_unless_available!(any_major());
    let scene = verified(shop().await).await;
    let target = scene.on_target().await;
    let changed = "SET session_replication_role = replica; \
                   UPDATE shop.products SET title = title || '!' WHERE sku = 'sku-5'";
    target
        .batch_execute(changed)
        .await
        .expect("a row is changed");
    let ran = scene.trunkline(&["cutover", "--json"]).await.expect_code(6);
    assert!(ran.stderr.contains("shop.products"), "{ran}");
    writes(&scene.on_source().await)
        .await
        .expect("the source serves");
}
