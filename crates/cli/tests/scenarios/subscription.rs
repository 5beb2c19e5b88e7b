//! The route `subscription`: the target's server follows by itself, and everything around it
//! is as on the other routes: the same commands, the same proof, the same way back.

use serde_json::Value;
use trunkline_testkit::{Cluster, any_major, skip_unless_available, until};

use crate::scene::notes::{NOTES, notes};
use crate::scene::{PATIENCE, Scene, assert_same_catalog, seed};

const ROUTE: &str = "[migration]\nroute = \"subscription\"\n";

/// Rows on which the first copy of a table takes long enough to be seen.
const LARGE: &str = "CREATE TABLE public.large (id int PRIMARY KEY, body text);
    CREATE INDEX ON public.large (body);
    INSERT INTO public.large SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 60000) n";

impl Scene {
    /// What `status` says of a subscription that fails, with the transaction at which it does.
    async fn failing(&self) -> Value {
        trunkline_testkit::until_some(PATIENCE, async || {
            let status = self.subscription().await;
            status["failing_lsn"].is_string().then_some(status)
        })
        .await
    }

    /// What `status` says of a subscription that works: its process needs a moment to begin.
    async fn working(&self) -> Value {
        trunkline_testkit::until_some(PATIENCE, async || {
            let status = self.subscription().await;
            (status["working"] == true).then_some(status)
        })
        .await
    }

    /// What `status` says of the subscription.
    async fn subscription(&self) -> Value {
        self.done(&["status", "--json"]).await.json()["subscription"].clone()
    }
}

async fn moves(source: u32, target: u32) {
    let mut scene = Scene::new(source, target).await.with_shop(1).await;
    scene.plan(ROUTE);
    let before = scene.catalogs().await;
    let writers = scene.clients(seed());

    scene.done(&["check"]).await;
    let plan = scene.done(&["plan"]).await;
    assert!(plan.stdout.contains("CREATE SUBSCRIPTION"), "{plan}");
    scene.done(&["run", "--until", "verified"]).await;
    let seen = writers.committed();
    let status = scene.working().await;
    assert_eq!(status["tables"], status["tables_ready"], "{status:#}");
    scene.done(&["verify"]).await;
    let rehearsed = scene
        .done(&["cutover", "--rehearse", "--json"])
        .await
        .json();
    assert_eq!(rehearsed["rehearsal"]["go"], true, "{rehearsed:#}");
    let status = scene.subscription().await;
    assert_eq!(
        status["enabled"], true,
        "it goes on after a rehearsal: {status:#}"
    );

    let report = scene.done(&["cutover", "--json"]).await.json();
    let outcome = writers.stop().await;
    assert!(
        seen > 0 && outcome.committed > seen,
        "they wrote all the time: {outcome:?}"
    );
    assert_eq!(report["outcome"], "switched", "{report:#}");
    scene.assert_same().await;
    let left = "SELECT count(*) FROM pg_subscription";
    assert_eq!(scene.target_says(left).trim(), "0");

    scene.target_says("UPDATE shop.customers SET name = name || '!'");
    let report = scene.done(&["rollback", "--json"]).await.json();
    assert_eq!(report["outcome"], "rolled_back", "{report:#}");
    scene.assert_same().await;
    // What follows a rollback is our own stream.
    scene.done(&["run", "--until", "verified"]).await;
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    scene.done(&["complete"]).await;
    let after = scene.catalogs().await;
    assert_same_catalog("source", &before.0, &after.0);
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_moves_a_live_database_from_13_to_16() {
    skip_unless_available!(13, 16);
    moves(13, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_moves_a_live_database_from_15_to_17() {
    skip_unless_available!(15, 17);
    moves(15, 17).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_moves_a_live_database_from_17_to_18() {
    skip_unless_available!(17, 18);
    moves(17, 18).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_takes_over_where_our_own_copy_ends() {
    skip_unless_available!(14, 16);
    let mut scene = Scene::new(14, 16).await.with_shop(1).await;
    scene.plan(ROUTE);
    scene.plan("[subscription]\ncopy_data = false\n");
    let before = scene.catalogs().await;
    let writers = scene.clients(seed());
    scene.done(&["run", "--until", "verified"]).await;
    scene.working().await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    let outcome = writers.stop().await;
    assert!(outcome.committed > 0, "{outcome:?}");
    scene.assert_same().await;
    scene.done(&["complete"]).await;
    assert_same_catalog("source", &before.0, &scene.catalogs().await.0);
    scene.assert_nothing_of_ours().await;
}

/// The target's tables stand there, and one of them does not take every row.
async fn picky() -> Scene {
    let mut scene = Scene::new(16, 17).await.with(NOTES).with(LARGE);
    scene.plan(ROUTE);
    scene.plan("[structure]\nrestore = false\n");
    scene.target_says(
        "CREATE TABLE public.notes (id bigint PRIMARY KEY, body text, CHECK (id <> 150));
         CREATE TABLE public.large (id int PRIMARY KEY, body text)",
    );
    scene
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_shown_by_status_and_goes_on_once_it_is_mended() {
    skip_unless_available!(16, 17);
    let scene = picky().await;
    let running = scene.start(&["run", "--until", "verified"]);
    until(PATIENCE, async || {
        let shown = scene.trunkline(&["status", "--json"]).await.json();
        shown["subscription"]["sync_errors"].as_u64().unwrap_or(0) > 0
    })
    .await;
    let status = scene.subscription().await;
    let waiting = status["not_ready"].to_string();
    assert!(waiting.contains("notes"), "{status:#}");
    assert!(
        status["trouble"][0]
            .to_string()
            .contains("copying a table failed"),
        "{status:#}"
    );
    scene.target_says("ALTER TABLE public.notes DROP CONSTRAINT notes_id_check");
    running.ended().await.expect_code(0);
    scene.assert_same_rows().await;

    // A change that does not fit.
    scene.target_says("INSERT INTO public.notes VALUES (5000, 'in the way')");
    scene.source_says("INSERT INTO public.notes VALUES (5000, 'the right one')");
    let trouble = scene.failing().await["trouble"].to_string();
    assert!(trouble.contains("Mend that row"), "{trouble}");
    scene.target_says("DELETE FROM public.notes WHERE id = 5000");
    scene.done(&["verify"]).await;
    scene.assert_same_rows().await;
    let mended = scene.subscription().await["trouble"].to_string();
    assert!(!mended.contains("cannot be applied"), "{mended}");

    // Another one, whose transaction is left out.
    scene.target_says("INSERT INTO public.notes VALUES (6000, 'in the way')");
    scene.source_says(
        "BEGIN; INSERT INTO public.notes VALUES (6000, 'the right one');
         INSERT INTO public.notes VALUES (6001, 'left out with it'); COMMIT",
    );
    let status = scene.failing().await;
    let (name, lsn) = (&status["name"], &status["failing_lsn"]);
    let skip = format!(
        "ALTER SUBSCRIPTION {name} SKIP (lsn = '{}')",
        lsn.as_str().expect("told")
    );
    scene.target_says(&skip);
    // The server forgets it once it is left out.
    let done = "SELECT count(*) FROM pg_subscription WHERE subskiplsn = '0/0'";
    until(PATIENCE, async || scene.target_says(done).trim() == "1").await;
    scene.trunkline(&["verify"]).await.expect_code(6);
    scene.done(&["verify", "--repair"]).await;
    scene.assert_same_rows().await;
    scene.done(&["abort", "--keep-target"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_table_that_is_killed_begins_again() {
    skip_unless_available!(15, 16);
    let mut scene = Scene::new(15, 16).await.with(NOTES).with(LARGE);
    scene.plan(ROUTE);
    let running = scene.start(&["run", "--until", "verified"]);
    let target = scene.on_target().await;
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_subscription
                 WHERE relid IS NOT NULL AND pid IS NOT NULL";
    until(PATIENCE, async || {
        let killed = target.query_one(kill, &[]).await.expect("it can be asked");
        killed.get::<_, i64>(0) > 0
    })
    .await;
    running.ended().await.expect_code(0);
    scene.assert_same_rows().await;
    scene.done(&["abort"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_goes_on_and_what_is_given_up_leaves_nothing() {
    skip_unless_available!(15, 16);
    let mut scene = Scene::new(15, 16).await.with(NOTES).with(LARGE);
    scene.plan(ROUTE);
    let before = scene.catalogs().await;
    for moment in [
        "subscription",
        "the subscription copies",
        "catching up",
        "comparing",
    ] {
        let mut running = scene.start(&["run", "--until", "verified"]);
        running.must_say(moment).await;
        running.kill().await;
    }
    scene.done(&["run", "--until", "verified"]).await;
    scene.assert_same_rows().await;
    scene.source_says("UPDATE public.notes SET body = 'later' WHERE id < 20");
    scene.done(&["verify"]).await;
    scene.done(&["abort"]).await;
    let after = scene.catalogs().await;
    assert_same_catalog("source", &before.0, &after.0);
    assert_same_catalog("target", &before.1, &after.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_is_given_up_while_its_subscription_cannot_copy() {
    skip_unless_available!(16, 17);
    let scene = picky().await;
    let before = scene.catalogs().await;
    let mut running = scene.start(&["run"]);
    running.must_say("the subscription copies").await;
    running.kill().await;
    scene.done(&["abort", "--keep-target"]).await;
    let after = scene.catalogs().await;
    assert_same_catalog("source", &before.0, &after.0);
    assert_same_catalog("target", &before.1, &after.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_refuses_what_a_subscription_could_not_do() {
    skip_unless_available!(any_major());
    let mut scene = notes().await;
    scene.plan(ROUTE);
    scene.plan("[subscription]\nconnection = \"host=127.0.0.1 port=1 user=nobody dbname=app\"\n");
    let ran = scene.trunkline(&["check"]).await.expect_code(3);
    assert!(ran.stdout.contains("subscription-impossible"), "{ran}");
    assert!(
        ran.stdout
            .contains("cannot reach the source at 127.0.0.1:1/app"),
        "{ran}"
    );
    scene.trunkline(&["run"]).await.expect_code(3);
    scene.assert_nothing_of_ours().await;
    // A database of the same server.
    scene.source.create_database("other").await;
    scene.reach("TRUNKLINE_TARGET", &scene.source.uri("other"));
    let ran = scene.trunkline(&["check"]).await.expect_code(3);
    assert!(ran.stdout.contains("subscription-same-server"), "{ran}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_of_a_role_of_its_own_is_changed_on_the_way_and_shown_nowhere() {
    skip_unless_available!(16, 17);
    let source = Cluster::builder(16).hba(
        "host all replicator 127.0.0.1/32 scram-sha-256
         host all all 127.0.0.1/32 trust
         local all all trust",
    );
    let (source, target) = (source.start(), Cluster::start(17));
    let mut scene = Scene::of(source, target, "app").await.with(NOTES).with(
        "CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'first-secret';
         GRANT SELECT ON public.notes TO replicator",
    );
    // What it was granted moves with the tables.
    scene.target_says("CREATE ROLE replicator");
    scene.plan(ROUTE);
    let port = scene.source.port();
    scene.plan(&format!(
        "[subscription]\npassword_env = \"REPLICATOR_PASSWORD\"\n\
         connection = \"host=127.0.0.1 port={port} user=replicator dbname=app\"\n"
    ));
    scene.reach("REPLICATOR_PASSWORD", "first-secret");
    let ran = scene.done(&["run", "--until", "verified"]).await;
    assert!(!ran.stderr.contains("secret"), "{ran}");
    let saved = std::fs::read_to_string(scene.migration_folder().join("plan.toml"));
    assert!(!saved.expect("it is kept").contains("secret"));
    let journal = "SELECT count(*) FROM trunkline.journal WHERE entry::text LIKE '%secret%'";
    assert_eq!(scene.target_says(journal).trim(), "0");

    scene.source_says(
        "ALTER ROLE replicator PASSWORD 'second-secret';
         SELECT pg_terminate_backend(pid) FROM pg_stat_replication;
         INSERT INTO public.notes VALUES (7000, 'behind the new password')",
    );
    until(PATIENCE, async || {
        scene.subscription().await["working"] == false
    })
    .await;
    scene.reach("REPLICATOR_PASSWORD", "second-secret");
    scene.done(&["verify"]).await;
    until(PATIENCE, async || {
        scene.subscription().await["sending"] == true
    })
    .await;
    scene.done(&["cutover"]).await;
    scene.assert_same_rows().await;
    scene.done(&["complete"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roles_for_a_subscription_can_be_made_from_the_script() {
    skip_unless_available!(17);
    let mut scene = Scene::new(17, 17).await.with(NOTES);
    let connection = scene.source.uri(&scene.database);
    let connection = connection.replace("postgres@", "replicator:secret@");
    scene.plan(&format!(
        "{ROUTE}[subscription]\nconnection = \"{connection}\"\n"
    ));
    let script = scene.done(&["sql", "role"]).await.stdout;
    let (source, target) = script.split_once("-- target:").expect("two parts");
    scene.source_says(source);
    scene.target_says(&format!("-- target:{target}"));
    let replicator = "SELECT rolreplication AND rolcanlogin FROM pg_roles \
                      WHERE rolname = 'replicator'";
    assert_eq!(scene.source_says(replicator).trim(), "t");
    let subscribes = "SELECT pg_has_role('trunkline', 'pg_create_subscription', 'MEMBER')";
    assert_eq!(scene.target_says(subscribes).trim(), "t");
}
