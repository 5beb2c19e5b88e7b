//! Clients behind a pooler while they are moved there and back, again and again: no error, no
//! loss, nothing twice, and how long each of them waited. `TRUNKLINE_ROUNDS` says how often.

use std::path::Path;
use std::time::Duration;

use tokio_postgres::Client;
use trunkline_testkit::front::{Envoy, Haproxy, PgBouncer};
use trunkline_testkit::{any_major, skip_unless_available, skip_unless_installed};

use crate::scene::crowd::{Crowd, LEDGER, Nature, assert_nothing_lost, is_of_the_connection};
use crate::scene::{DATABASE, Scene};

fn rounds() -> usize {
    let given = std::env::var("TRUNKLINE_ROUNDS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// A session beside the pooler, in a transaction that reads.
async fn long_reader(scene: &Scene, on_source: bool) -> Client {
    let client = if on_source {
        scene.on_source().await
    } else {
        scene.on_target().await
    };
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM public.ledger")
        .await
        .expect("it reads");
    client
}

/// There and back, as often as asked for; how long clients waited each time.
async fn switch_to_and_fro(scene: &Scene, crowd: &Crowd) -> Vec<Duration> {
    let mut waits = Vec::new();
    for round in 0..rounds() {
        for command in ["cutover", "rollback"] {
            let _reader = long_reader(scene, command == "cutover").await;
            crowd.has_written(300).await;
            crowd.longest_wait();
            let report = scene.done(&[command, "--json"]).await.json();
            let pause = report["pause_ms"].as_f64().unwrap_or_default();
            crowd.has_written(300).await;
            let wait = crowd.longest_wait();
            eprintln!("round {round}, {command}: clients waited {wait:?}, reported {pause:.0} ms");
            waits.push(wait);
        }
    }
    waits.sort();
    eprintln!(
        "clients waited {:?} in the median, {:?} at most, in {} switches",
        waits[waits.len() / 2],
        waits[waits.len() - 1],
        waits.len()
    );
    waits
}

async fn ready(plan: impl FnOnce(&Scene) -> String) -> Scene {
    let mut scene = Scene::new(any_major(), any_major()).await.with(LEDGER);
    let plan = plan(&scene);
    scene.plan(&plan);
    scene
}

fn pooled(scene: &Scene, bouncer: &PgBouncer) -> String {
    let _ = scene;
    format!(
        "[cutover]\ntraffic = {{ kind = \"pgbouncer\", admin = \"{}\", config = \"{}\", \
         database = \"{DATABASE}\" }}\n",
        bouncer.console("admin"),
        bouncer.config().display()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_behind_a_pooler_see_no_error_and_lose_nothing_however_often_they_are_moved() {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    let mut scene = ready(|_| String::new()).await;
    let line = format!(
        "{DATABASE} = host=127.0.0.1 port={} dbname={DATABASE} pool_size=20 user=postgres\n",
        scene.source.port()
    );
    let bouncer = PgBouncer::start(&line, "max_client_conn = 200");
    let plan = pooled(&scene, &bouncer);
    scene.plan(&plan);
    let crowd = Crowd::start(&bouncer.uri(DATABASE), Nature::Held);
    let mut following = scene.start(&["run"]);
    following.must_say("== verified").await;
    switch_to_and_fro(&scene, &crowd).await;
    let journal = crowd.stop().await;
    assert_eq!(journal.errors, Vec::<String>::new());
    assert_nothing_lost(&scene.on_source().await, &journal).await;
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    assert_nothing_lost(&scene.on_target().await, &journal).await;
    scene.done(&["complete"]).await;
    following.ended().await.expect_code(0);
    scene.assert_nothing_of_ours().await;
}

/// Where sessions are cut instead of held: connection errors only, and nothing that was
/// confirmed is lost.
async fn cut_and_lose_nothing(scene: Scene, uri: &str) {
    let crowd = Crowd::start(uri, Nature::Cut);
    let mut following = scene.start(&["run"]);
    following.must_say("== verified").await;
    switch_to_and_fro(&scene, &crowd).await;
    let journal = crowd.stop().await;
    let strange: Vec<&String> = journal
        .errors
        .iter()
        .filter(|error| !is_of_the_connection(error))
        .collect();
    assert!(strange.is_empty(), "{strange:#?}");
    assert_nothing_lost(&scene.on_source().await, &journal).await;
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    assert_nothing_lost(&scene.on_target().await, &journal).await;
    scene.done(&["complete"]).await;
    following.ended().await.expect_code(0);
}

fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_behind_envoy_are_cut_and_lose_nothing() {
    skip_unless_available!(any_major());
    skip_unless_installed!("envoy");
    let mut scene = ready(|_| String::new()).await;
    let envoy = Envoy::start(scene.source.port());
    scene.plan(&format!(
        "[cutover]\ntraffic = {{ kind = \"envoy\", admin = \"{}\", endpoints = {}, \
         listeners = {}, cluster = \"pg\" }}\n",
        envoy.admin(),
        quoted(&envoy.endpoints()),
        quoted(&envoy.listeners()),
    ));
    let uri = envoy.uri(DATABASE);
    cut_and_lose_nothing(scene, &uri).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_behind_haproxy_are_cut_and_lose_nothing() {
    skip_unless_available!(any_major());
    skip_unless_installed!("haproxy");
    let mut scene = ready(|_| String::new()).await;
    let haproxy = Haproxy::start(scene.source.port(), "admin");
    scene.plan(&format!(
        "[cutover]\ntraffic = {{ kind = \"haproxy\", socket = {}, server = \"pg/db\" }}\n",
        quoted(&haproxy.socket()),
    ));
    let uri = haproxy.uri(DATABASE);
    cut_and_lose_nothing(scene, &uri).await;
}
