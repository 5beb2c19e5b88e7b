//! What somebody who came new to it found wrong, each thing once: the story as it happened,
//! and the end that it must have.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio_postgres::Client;
use trunkline_testkit::{Cluster, FaultyProxy, any_major, skip_unless_available, until};

use crate::scene::{DATABASE, PATIENCE, Scene};

const NOTES: &str = "CREATE TABLE public.notes (id bigint PRIMARY KEY, body text);
    INSERT INTO public.notes SELECT n, 'note ' || n FROM generate_series(1, 200) AS n";

/// A small database on each side's [`any_major`], and the hooks' calls.
async fn notes() -> Scene {
    Scene::new(any_major(), any_major()).await.with(NOTES)
}

/// A scene whose hooks write down that they were called, and for whom.
struct Hooked {
    scene: Scene,
    calls: PathBuf,
}

impl Hooked {
    async fn new() -> Self {
        let mut scene = notes().await;
        let calls = scene.path("calls");
        let (gate, holder) = (scene.path("gate"), scene.path("holder"));
        let (log, gate, holder) = (calls.display(), gate.display(), holder.display());
        let call = format!("echo $TRUNKLINE_STEP for $TRUNKLINE_SERVES >> '{log}'");
        // Held clients are let go on by the test, or after a while: no process stays.
        let hold = format!(
            "echo $$ > '{holder}'; {call}; for i in $(seq 1200); do test -e '{gate}' && exit 0; sleep 0.05; done; exit 1"
        );
        scene.plan(&format!(
            "[cutover]\ntraffic = {{ kind = \"command\", hold = \"{hold}\", switch = \"{call}\", \
             release = \"{call}\", verify = \"{call}\" }}\n"
        ));
        Hooked { scene, calls }
    }

    /// From now on `hold` ends at once.
    fn let_hold_end(&self) {
        std::fs::write(self.scene.path("gate"), "").expect("the gate can be opened");
    }

    /// Whether the process of `hold` has ended, reaped or not.
    fn hold_has_ended(&self) -> bool {
        let holder = std::fs::read_to_string(self.scene.path("holder")).expect("it was called");
        let state = std::fs::read_to_string(format!("/proc/{}/stat", holder.trim()));
        state.map_or(true, |state| state.contains(") Z"))
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.calls).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn until_called(&self, call: &str) {
        until(PATIENCE, async || self.calls().iter().any(|c| c == call)).await;
    }
}

async fn phase(scene: &Scene) -> Value {
    scene.done(&["status", "--json"]).await.json()["phase"].clone()
}

/// The number of rows of a query's only column and row.
async fn count(client: &Client, sql: &str) -> i64 {
    let row = client.query_one(sql, &[]).await.expect("it can be counted");
    row.get(0)
}

async fn assert_source_takes_writes(scene: &Scene) {
    let client = scene.on_source().await;
    let written = client.batch_execute("INSERT INTO public.notes VALUES (100000, 'still here')");
    written.await.expect("the source serves");
    let removed = client.batch_execute("DELETE FROM public.notes WHERE id = 100000");
    removed.await.expect("the source serves");
}

/// Opens a transaction that has a number; gives it.
async fn begin(client: &Client) -> i64 {
    client.batch_execute("BEGIN").await.expect("it begins");
    count(client, "SELECT txid_current()").await
}

/// Waits until somebody waits for the end of this transaction.
async fn until_waited_for(watcher: &Client, transaction: i64) {
    let sql = format!(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid' \
         AND transactionid::text::bigint = {transaction}"
    );
    until(PATIENCE, async || count(watcher, &sql).await > 0).await;
}

/// A commit is in the log, is not visible yet, and lies before the slot's consistent point:
/// in neither the stream nor a snapshot, unless the copy waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_waits_for_its_standby_while_the_slot_is_made_is_not_lost() {
    let major = any_major();
    skip_unless_available!(major);
    let source = Cluster::builder(major)
        .setting("synchronous_standby_names", "nobody")
        .setting("synchronous_commit", "local")
        .start();
    let scene = Scene::of(source, Cluster::start(major), DATABASE).await;
    let mut scene = scene.with(NOTES);
    let watcher = scene.on_source().await;
    let (first, second) = (scene.on_source().await, scene.on_source().await);

    let number = begin(&first).await;
    let mut running = scene.start(&["run", "--until", "verified"]);
    until_waited_for(&watcher, number).await;
    let number = begin(&second).await;
    first.batch_execute("ROLLBACK").await.expect("it ends");
    until_waited_for(&watcher, number).await;

    let waiting = scene.on_source().await;
    let process = count(&waiting, "SELECT pg_backend_pid()::bigint").await;
    let commit = tokio::spawn(async move {
        let sql = "SET synchronous_commit = on; INSERT INTO public.notes VALUES (1000, 'late')";
        waiting.batch_execute(sql).await
    });
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    until(PATIENCE, async || count(&watcher, sql).await == 1).await;
    second.batch_execute("ROLLBACK").await.expect("it ends");
    let sql = "SELECT count(*) FROM pg_replication_slots WHERE confirmed_flush_lsn IS NOT NULL";
    until(PATIENCE, async || count(&watcher, sql).await == 1).await;

    // It says so again: it waits for this one although the slot is there.
    let line = format!("the slot waits for process {process} ");
    let said = |so_far: String| so_far.matches(line.as_str()).count();
    let before = said(running.so_far());
    until(PATIENCE, async || {
        running.is_over() || said(running.so_far()) > before
    })
    .await;
    let so_far = running.so_far();
    assert!(!so_far.contains("structure"), "it went on: {so_far}");

    // The standby's answer.
    let nobody = [("synchronous_standby_names".to_owned(), String::new())];
    let server = scene.source.server();
    server.configure(&nobody).expect("it can be configured");
    server.reload();
    let committed = commit.await.expect("the task ends");
    committed.expect("it commits");
    running.ended().await.expect_code(0);
    let sql = "SELECT count(*) FROM public.notes WHERE id = 1000";
    assert_eq!(count(&scene.on_target().await, sql).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completed_migration_is_not_begun_again() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.done(&["run", "--until", "switched"]).await;
    scene.done(&["complete", "--keep-fence"]).await;
    // The target serves: it goes its own way.
    let client = scene.on_target().await;
    let written = "INSERT INTO public.notes VALUES (1000, 'on the target'); \
                   DELETE FROM public.notes WHERE id = 1";
    client.batch_execute(written).await.expect("it serves");

    for arguments in [
        &["run", "--until", "verified"][..],
        &["run", "--until", "verified", "--drop-if-exists"],
        &["clone", "--drop-if-exists"],
    ] {
        let ran = scene.trunkline(arguments).await;
        ran.expect_code(9).expect_said(&["is completed", "outcome"]);
        let rows = "SELECT count(*) FROM public.notes";
        assert_eq!(count(&client, rows).await, 200, "{arguments:?}");
        let own = "SELECT count(*) FROM public.notes WHERE id = 1000";
        assert_eq!(count(&client, own).await, 1, "{arguments:?}");
    }
}

/// The deadline comes while the journal's own session sets sequences.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_while_sequences_are_set_gives_the_source_back() {
    skip_unless_available!(any_major());
    let hooked = Hooked::new().await;
    hooked.let_hold_end();
    let scene = &hooked.scene;
    let sequences = "SELECT format('CREATE SEQUENCE public.s%s START %s', n, n) \
                     FROM generate_series(1, 1500) AS n";
    let statements = scene.source.psql(&scene.database, sequences);
    let statements = statements.replace('\n', ";\n");
    scene.source.psql(&scene.database, &statements);
    scene.done(&["run", "--until", "verified"]).await;

    // However fast they are, one of them has to wait.
    let busy = scene.on_target().await;
    let alter = "BEGIN; ALTER SEQUENCE public.s1499 CACHE 2";
    busy.batch_execute(alter).await.expect("it is altered");
    // The slot of a way back would wait for it before anyone is held.
    let cutover = ["cutover", "--max-pause", "4s", "--no-way-back"];
    let ran = scene.trunkline(&cutover).await;
    let ran = ran.expect_code(7);
    assert!(ran.stderr.contains("over during: sequences"), "{ran}");
    assert_eq!(hooked.calls(), ["hold for source", "release for source"]);
    assert_source_takes_writes(scene).await;
    assert_eq!(phase(scene).await, "following", "the journal was told");

    busy.batch_execute("ROLLBACK").await.expect("it ends");
    scene.done(&["run", "--until", "verified"]).await;
    assert_eq!(phase(scene).await, "verified");
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_a_killed_cutover_held_are_released_by_the_next_run() {
    skip_unless_available!(any_major());
    let hooked = Hooked::new().await;
    hooked.scene.done(&["run", "--until", "verified"]).await;
    let cutover = hooked.scene.start(&["cutover"]);
    hooked.until_called("hold for source").await;
    assert!(!hooked.hold_has_ended());
    cutover.kill().await;
    // It would hold clients that nobody releases any more; by itself it takes a minute.
    until(Duration::from_secs(20), async || hooked.hold_has_ended()).await;

    hooked.scene.done(&["run", "--until", "verified"]).await;
    assert_eq!(hooked.calls(), ["hold for source", "release for source"]);
    assert_source_takes_writes(&hooked.scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_a_killed_cutover_held_are_released_by_a_run_that_followed() {
    skip_unless_available!(any_major());
    let hooked = Hooked::new().await;
    let mut follower = hooked.scene.start(&["run"]);
    follower.must_say("== verified").await;
    let cutover = hooked.scene.start(&["cutover"]);
    hooked.until_called("hold for source").await;
    cutover.kill().await;

    hooked.until_called("release for source").await;
    assert_source_takes_writes(&hooked.scene).await;
    hooked.let_hold_end();
    follower.signal("INT").await;
    follower.ended().await.expect_code(130);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_hook_is_called_once_although_a_run_follows() {
    skip_unless_available!(any_major());
    let hooked = Hooked::new().await;
    hooked.let_hold_end();
    let mut follower = hooked.scene.start(&["run"]);
    follower.must_say("== verified").await;
    hooked.scene.done(&["cutover"]).await;
    follower.must_say("keeping the old side up to date").await;
    hooked.scene.done(&["complete"]).await;
    follower.ended().await.expect_code(0);
    let once = [
        "hold for source",
        "switch for target",
        "release for target",
        "verify for target",
    ];
    assert_eq!(hooked.calls(), once);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_freezes_in_the_pause_does_not_keep_the_source() {
    skip_unless_available!(any_major());
    let mut hooked = Hooked::new().await;
    let proxy = FaultyProxy::start(hooked.scene.target.port()).await;
    let uri = proxy.uri(DATABASE);
    hooked.scene.reach("TRUNKLINE_TARGET", &uri);
    let scene = &hooked.scene;
    scene.done(&["run", "--until", "verified"]).await;
    let cutover = scene.start(&["cutover", "--max-pause", "4s"]);
    hooked.until_called("hold for source").await;
    proxy.freeze();
    hooked.let_hold_end();

    hooked.until_called("release for source").await;
    assert_source_takes_writes(scene).await;
    cutover.ended().await.expect_code(7);
    assert_eq!(hooked.calls(), ["hold for source", "release for source"]);

    proxy.thaw();
    // What the frozen sessions held is free when the server has seen them go.
    until(PATIENCE, async || {
        scene.trunkline(&["run", "--until", "verified"]).await.code == Some(0)
    })
    .await;
    assert_eq!(phase(scene).await, "verified");
    assert_source_takes_writes(scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_made_after_the_copy_is_named_and_refused() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.done(&["run", "--until", "verified"]).await;
    let scene = scene.with("CREATE TABLE public.newcomer (id bigint PRIMARY KEY)");
    let ran = scene.trunkline(&["cutover"]).await.expect_code(9);
    ran.expect_said(&["tables have changed", "public.newcomer"]);
    assert_source_takes_writes(&scene).await;

    // There on both sides, it is still not copied and not in the stream.
    let sql = "CREATE TABLE public.newcomer (id bigint PRIMARY KEY)";
    scene.target.psql(&scene.database, sql);
    let ran = scene.trunkline(&["cutover"]).await.expect_code(9);
    ran.expect_said(&["public.newcomer was made after the copy began"]);
    assert_ne!(phase(&scene).await, "switched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_a_table_that_was_dropped_since_do_not_stop_the_stream() {
    skip_unless_available!(any_major());
    let scene = notes()
        .await
        .with("CREATE TABLE public.leaving (id bigint PRIMARY KEY)");
    scene.done(&["run", "--until", "following"]).await;
    let scene = scene.with(
        "INSERT INTO public.leaving VALUES (1);
         DROP TABLE public.leaving",
    );
    let running = scene.start(&["run"]);
    let target = scene.on_target().await;
    until(PATIENCE, async || {
        count(&target, "SELECT count(*) FROM public.leaving").await == 1
    })
    .await;
    // It is said where it matters.
    let ran = scene.trunkline(&["cutover"]).await.expect_code(9);
    ran.expect_said(&["public.leaving was dropped or renamed"]);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unlogged_table_arrives_as_it_was_at_the_last_write() {
    skip_unless_available!(any_major());
    let scene = notes().await.with(
        "CREATE UNLOGGED TABLE public.quick (id bigint PRIMARY KEY, body text);
         INSERT INTO public.quick SELECT n, 'quick' FROM generate_series(1, 50) AS n",
    );
    scene.done(&["run", "--until", "verified"]).await;
    let scene = scene.with(
        "DELETE FROM public.quick WHERE id <= 10;
         UPDATE public.quick SET body = 'changed' WHERE id = 11;
         INSERT INTO public.quick VALUES (1000, NULL)",
    );
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    let sql = "SELECT count(*) FROM public.quick WHERE body = 'changed' OR body IS NULL";
    assert_eq!(count(&scene.on_target().await, sql).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_object_made_or_changed_after_the_copy_stops_the_cutover() {
    skip_unless_available!(any_major());
    let scene = notes().await.with("SELECT lo_from_bytea(0, 'first')");
    scene.done(&["run", "--until", "verified"]).await;
    let late = "SELECT lo_from_bytea(0, 'late')";
    let number = scene.source.psql(&scene.database, late);
    // Before anyone is held.
    let ran = scene.trunkline(&["cutover"]).await.expect_code(9);
    ran.expect_said(&["large objects were made or removed"]);
    assert_source_takes_writes(&scene).await;

    scene
        .source
        .psql(&scene.database, &format!("SELECT lo_unlink({number})"));
    let write =
        |text: &str| format!("SELECT lo_put(oid, 0, '{text}') FROM pg_largeobject_metadata");
    scene.source_says(&write("FIRST"));
    let ran = scene.trunkline(&["cutover"]).await.expect_code(9);
    ran.expect_said(&["1 large objects hold other contents"]);
    assert_source_takes_writes(&scene).await;

    scene.source_says(&write("first"));
    scene.done(&["cutover"]).await;
    let sql = "SELECT count(*) FROM pg_largeobject_metadata";
    assert_eq!(count(&scene.on_target().await, sql).await, 1);
}
