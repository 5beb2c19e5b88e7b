//! The way back under failures, while clients write on the target: it goes on, it catches up,
//! and a rollback loses nothing. What it cannot carry is named.

use std::time::Duration;

use trunkline_testkit::{any_major, skip_unless_available, skip_unless_installed, until};

use crate::scene::crowd::{Crowd, Nature};
use crate::scene::notes::notes;
use crate::scene::pooled::Pooled;
use crate::scene::{PATIENCE, Running, Scene, seed};

/// Clients are on the target and write, and a `run` follows back.
async fn following_back() -> (Pooled, Crowd, Running) {
    let pooled = Pooled::new("").await;
    pooled.scene.done(&["run", "--until", "switched"]).await;
    let crowd = pooled.crowd(Nature::Cut);
    crowd.has_written(50).await;
    let mut following = pooled.scene.start(&["run"]);
    following.must_say("keeping the old side up to date").await;
    arrives(&pooled, &crowd).await;
    (pooled, crowd, following)
}

/// What is written on the target now arrives on the source.
async fn arrives(pooled: &Pooled, crowd: &Crowd) {
    crowd.has_written(50).await;
    let count = "SELECT max(number) FROM public.ledger";
    let last: i64 = pooled.scene.target_says(count).trim().parse().expect("one");
    until(PATIENCE, async || {
        let there = pooled.scene.source_says(count);
        there.trim().parse::<i64>().is_ok_and(|there| there >= last)
    })
    .await;
}

async fn rolls_back(pooled: Pooled, crowd: Crowd, following: Running) {
    arrives(&pooled, &crowd).await;
    pooled.scene.done(&["rollback"]).await;
    pooled.are_served(&crowd).await;
    assert_eq!(pooled.assert_one_side_takes_writes().await, "source");
    pooled.assert_complete(crowd).await;
    following.ended().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_killed_and_started_again_goes_on_where_it_was() {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    let mut rng = fastrand::Rng::with_seed(seed());
    let (pooled, crowd, mut following) = following_back().await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..700))).await;
        following.kill().await;
        following = pooled.scene.start(&["run"]);
        arrives(&pooled, &crowd).await;
    }
    rolls_back(pooled, crowd, following).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_is_waited_for_on_the_way_back() {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    let (mut pooled, crowd, following) = following_back().await;
    pooled.scene.source.kill();
    crowd.has_written(50).await;
    pooled.scene.source.start_again();
    arrives(&pooled, &crowd).await;
    pooled.scene.target.kill();
    pooled.scene.target.start_again();
    arrives(&pooled, &crowd).await;
    rolls_back(pooled, crowd, following).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_on_the_way_back_are_made_again() {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    let mut rng = fastrand::Rng::with_seed(seed());
    let (pooled, crowd, following) = following_back().await;
    for _ in 0..4 {
        pooled.source_door.cut_after(rng.u64(0..20_000));
        pooled.target_door.cut_after(rng.u64(0..20_000));
        arrives(&pooled, &crowd).await;
    }
    // A cut that is still to come would be the rollback's.
    pooled.source_door.never_cut();
    pooled.target_door.never_cut();
    rolls_back(pooled, crowd, following).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_away_for_a_while_catches_up() {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    let (pooled, crowd, following) = following_back().await;
    following.signal("INT").await;
    following.ended().await.expect_code(130);
    crowd.has_written(1000).await;
    pooled
        .scene
        .target_says("CHECKPOINT; SELECT pg_switch_wal(); CHECKPOINT");
    let following = pooled.scene.start(&["run"]);
    rolls_back(pooled, crowd, following).await;
}

/// What it began is in the journal on the source alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_dies_while_clients_are_held_is_undone_by_the_run_that_follows() {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    let (pooled, crowd, mut following) = following_back().await;
    pooled.shut_gate();
    let rollback = pooled.scene.start(&["rollback", "--max-pause", "20s"]);
    pooled.is_before_gate().await;
    rollback.kill().await;
    pooled.open_gate();
    following
        .must_say("giving the clients their side back")
        .await;
    pooled.are_served(&crowd).await;
    assert_eq!(pooled.assert_one_side_takes_writes().await, "target");
    rolls_back(pooled, crowd, following).await;
}

/// Notes whose clients are on the target.
async fn switched() -> Scene {
    let scene = notes().await;
    scene.done(&["run", "--until", "switched"]).await;
    scene
}

/// Whatever the way back makes of it: what stands is told, and the migration can be ended.
async fn ends(scene: Scene) {
    let status = scene.done(&["status", "--json"]).await.json();
    assert_eq!(status["phase"], "switched", "{status:#}");
    assert_eq!(status["serves"], "target", "{status:#}");
    scene.done(&["complete"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_made_on_the_target_stops_the_way_back_by_name() {
    skip_unless_available!(any_major());
    let scene = switched().await;
    scene.target_says("ALTER TABLE public.notes ADD COLUMN extra text");
    scene.target_says("INSERT INTO public.notes VALUES (900, 'new', 'more')");
    let ran = scene.trunkline(&["run"]).await;
    assert_ne!(ran.code, Some(0), "{ran}");
    ran.expect_said(&["public.notes", "extra", "on the way back", "hint:"]);
    let ran = scene.trunkline(&["rollback"]).await;
    assert_ne!(ran.code, Some(0), "{ran}");
    ran.expect_said(&["public.notes", "extra"]);
    // Made there too, everything is there.
    scene.source_says("BEGIN READ WRITE; ALTER TABLE public.notes ADD COLUMN extra text; COMMIT");
    scene.done(&["rollback"]).await;
    scene.assert_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_stays_on_the_target_does_not_keep_the_migration_from_its_end() {
    skip_unless_available!(any_major());
    let scene = switched().await;
    scene.target_says("ALTER TABLE public.notes ADD COLUMN extra text");
    scene.target_says("INSERT INTO public.notes VALUES (900, 'new', 'more')");
    ends(scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_made_on_the_target_is_named_and_no_rollback_leaves_it_behind() {
    skip_unless_available!(any_major());
    let scene = switched().await;
    scene.target_says("CREATE TABLE public.newcomer (id bigint PRIMARY KEY)");
    scene.target_says("INSERT INTO public.newcomer VALUES (1)");
    let ran = scene.trunkline(&["rollback"]).await.expect_code(9);
    ran.expect_said(&["public.newcomer", "hint:"]);
    scene.target_says("INSERT INTO public.notes VALUES (901, 'still served')");
    ends(scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_dropped_on_the_target_stays_on_the_source_and_the_rest_flows_back() {
    skip_unless_available!(any_major());
    let scene = notes()
        .await
        .with("CREATE TABLE public.leaving (id bigint PRIMARY KEY)");
    scene.done(&["run", "--until", "switched"]).await;
    scene.target_says("INSERT INTO public.leaving VALUES (1)");
    scene.target_says("DROP TABLE public.leaving");
    scene.target_says("INSERT INTO public.notes VALUES (902, 'after it')");
    let mut following = scene.start(&["run"]);
    following.must_say("keeping the old side up to date").await;
    until(PATIENCE, async || {
        let there = "SELECT count(*) FROM public.notes WHERE id = 902";
        assert!(!following.is_over(), "{}", following.so_far());
        scene.source_says(there).trim() == "1"
    })
    .await;
    // The source never dropped it, and serves with it.
    scene.done(&["rollback"]).await;
    scene.source_says("INSERT INTO public.leaving VALUES (2)");
    let ran = scene.trunkline(&["cutover"]).await.expect_code(9);
    ran.expect_said(&["public.leaving", "hint:"]);
    scene.done(&["abort"]).await;
    following.ended().await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_way_back_a_rollback_is_refused_and_complete_works() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.done(&["run", "--until", "verified"]).await;
    scene.done(&["cutover", "--no-way-back"]).await;
    let ran = scene.trunkline(&["rollback"]).await.expect_code(9);
    ran.expect_said(&["there is no way back", "trunkline complete"]);
    scene.done(&["run"]).await;
    ends(scene).await;
}

/// Between its two looks, at the target's journal and at the source's, somebody else brings
/// the journal home: what `status` read first is the state before the switch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_meets_the_end_of_a_rollback_says_which_side_serves() {
    skip_unless_available!(any_major());
    let mut scene = notes().await;
    let gate = scene.path("gate");
    let shut = gate.display();
    scene.plan(&format!(
        "[cutover]\ntraffic = {{ kind = \"command\", release = \"for i in $(seq 600); do \
         test -e '{shut}' || exit 0; sleep 0.02; done; exit 1\" }}\n"
    ));
    scene.done(&["run", "--until", "switched"]).await;
    std::fs::write(&gate, "").expect("the gate is shut");
    let mut rollback = scene.start(&["rollback"]);
    rollback.must_say("moving clients").await;
    rollback.kill().await;
    let open = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", scene.database);
    scene.target.psql("postgres", &open);

    let source = scene.on_source().await;
    source
        .batch_execute("BEGIN READ WRITE; LOCK TABLE trunkline.journal")
        .await
        .expect("the journal on the source is locked");
    let status = scene.start(&["status", "--json"]);
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted \
                   AND relation = 'trunkline.journal'::regclass";
    until(PATIENCE, async || scene.source_says(waiting).trim() == "1").await;
    let entries = "SELECT seq, entry::text FROM trunkline.journal ORDER BY seq";
    let entries = source.query(entries, &[]).await.expect("it can be read");
    let entries: Vec<(i64, String)> = entries.iter().map(|e| (e.get(0), e.get(1))).collect();
    let after_the_last = entries.len().try_into().expect("a few entries");
    let home = (after_the_last, "\"came_home\"".to_owned());
    let target = scene.on_target().await;
    for (seq, entry) in entries.iter().chain([&home]) {
        let add = "INSERT INTO trunkline.journal (migration, seq, entry) \
                   SELECT name, $1, $2::text::jsonb FROM trunkline.migration ON CONFLICT DO NOTHING";
        target
            .execute(add, &[seq, entry])
            .await
            .expect("it is home");
    }
    source
        .batch_execute("DELETE FROM trunkline.journal; COMMIT")
        .await
        .expect("it is gone from the source");
    let status = status.ended().await.expect_code(0).json();
    assert_eq!(status["phase"], "rolled_back", "{status:#}");
    assert_eq!(status["serves"], "source", "{status:#}");
    std::fs::remove_file(&gate).expect("the gate was shut");
    scene.done(&["run", "--until", "following"]).await;
    scene.done(&["abort"]).await;
    scene.assert_nothing_of_ours().await;
}
