//! A lock of somebody else on the target, while changes go there: it is told of, and does not
//! keep the command from ending.

use trunkline_testkit::{any_major, skip_unless_available, until};

use crate::scene::notes::notes;
use crate::scene::{PATIENCE, Running, Scene};

async fn follows(scene: &Scene) -> Running {
    let mut running = scene.start(&["run"]);
    running.must_say("== verified").await;
    running
}

/// A run that follows, and whose next change waits for a table.
pub(super) async fn held_up(scene: &Scene) -> (Running, tokio_postgres::Client) {
    let mut running = follows(scene).await;
    let holder = scene.on_target().await;
    let lock = "BEGIN; LOCK TABLE public.notes IN SHARE MODE";
    holder.batch_execute(lock).await.expect("nobody has it");
    scene.source_says("UPDATE public.notes SET body = 'held up' WHERE id = 1");
    let pid = "SELECT pg_backend_pid()";
    let pid: i32 = holder.query_one(pid, &[]).await.expect("it answers").get(0);
    let who = format!("changes wait on the target for process {pid} ");
    running.must_say(&who).await;
    (running, holder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_up_the_target_is_named_and_changes_go_on_behind_it() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    let (running, holder) = held_up(&scene).await;
    holder.batch_execute("COMMIT").await.expect("it is let go");
    let came = "SELECT count(*) FROM public.notes WHERE body = 'held up'";
    until(PATIENCE, async || scene.target_says(came).trim() == "1").await;
    running.signal("INT").await;
    running.ended().await.expect_code(130);
    scene.done(&["verify"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_held_up_ends_when_it_is_told_to() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    let (running, holder) = held_up(&scene).await;
    running.signal("INT").await;
    running.ended().await.expect_code(130);
    holder.batch_execute("COMMIT").await.expect("it is let go");
    scene.done(&["verify"]).await;
    scene.assert_same_rows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prepared_transaction_that_holds_up_the_target_is_named_and_a_run_behind_it_ends() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    let mut running = follows(&scene).await;
    let client = scene.on_target().await;
    for sql in [
        "BEGIN",
        "LOCK TABLE public.notes IN SHARE MODE",
        "PREPARE TRANSACTION 'forgotten'",
    ] {
        client.batch_execute(sql).await.expect("a superuser may");
    }
    scene.source_says("UPDATE public.notes SET body = 'held up' WHERE id = 1");
    let who = "changes wait on the target for a prepared transaction, one of 'forgotten' (";
    running.must_say(who).await;
    running.signal("INT").await;
    running.ended().await.expect_code(130);
    let ended = client.batch_execute("ROLLBACK PREPARED 'forgotten'").await;
    ended.expect("it is there");
    scene.done(&["verify"]).await;
    scene.assert_same_rows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_commits_wait_for_in_vain_is_told_of() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    let mut running = follows(&scene).await;
    let target = scene.on_target().await;
    scene.source_says("INSERT INTO public.notes VALUES (1000, 'flows')");
    let flows = "SELECT count(*) FROM public.notes WHERE id = 1000";
    until(PATIENCE, async || scene.target_says(flows).trim() == "1").await;
    for sql in [
        "SET synchronous_commit = local",
        "ALTER SYSTEM SET synchronous_standby_names = 'gone'",
        "SELECT pg_reload_conf()",
    ] {
        target.batch_execute(sql).await.expect("a superuser may");
    }
    scene.source_says("UPDATE public.notes SET body = 'held up' WHERE id = 1");
    let who = "changes wait on the target for a synchronous standby";
    running.must_say(who).await;
    running.signal("INT").await;
    running.ended().await.expect_code(130);
    for sql in [
        "ALTER SYSTEM RESET synchronous_standby_names",
        "SELECT pg_reload_conf()",
    ] {
        target.batch_execute(sql).await.expect("a superuser may");
    }
    scene.done(&["verify"]).await;
    scene.assert_same_rows().await;
}

/// A `clone` that waits for a table of the source.
async fn waits_for_the_source(scene: &Scene) -> (Running, tokio_postgres::Client) {
    let holder = scene.on_source().await;
    let lock = "BEGIN; LOCK TABLE public.notes";
    holder.batch_execute(lock).await.expect("nobody has it");
    let pid = "SELECT pg_backend_pid()";
    let pid: i32 = holder.query_one(pid, &[]).await.expect("it answers").get(0);
    let mut running = scene.start(&["clone"]);
    let who = format!("waits on the source for process {pid} ");
    running.must_say(&who).await;
    (running, holder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_table_of_the_source_is_named_and_the_copy_goes_on_behind_it() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    let (running, holder) = waits_for_the_source(&scene).await;
    holder.batch_execute("COMMIT").await.expect("it is let go");
    running.ended().await.expect_code(0);
    scene.assert_same_rows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_at_the_source_that_waits_ends_when_it_is_told_to() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    let (running, holder) = waits_for_the_source(&scene).await;
    running.signal("INT").await;
    running.ended().await.expect_code(130);
    holder.batch_execute("COMMIT").await.expect("it is let go");
    scene.done(&["clone"]).await;
    scene.assert_same_rows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_what_is_to_be_taken_away_is_named() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.done(&["run", "--until", "loaded"]).await;
    let reader = scene.on_target().await;
    let read = "BEGIN; SELECT FROM trunkline.migration";
    reader.batch_execute(read).await.expect("it may be read");
    let pid = "SELECT pg_backend_pid()";
    let pid: i32 = reader.query_one(pid, &[]).await.expect("it answers").get(0);
    let mut running = scene.start(&["abort"]);
    let who = format!("waits on the target for process {pid} ");
    running.must_say(&who).await;
    reader.batch_execute("COMMIT").await.expect("it is let go");
    running.ended().await.expect_code(0);
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname = 'trunkline'";
    assert_eq!(scene.target_says(left).trim(), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_to_alter_a_table_that_is_copied_is_named() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.target_says("CREATE TABLE public.notes (id bigint PRIMARY KEY, body text)");
    let holder = scene.on_target().await;
    let lock = "BEGIN; LOCK TABLE public.notes IN SHARE MODE";
    holder.batch_execute(lock).await.expect("nobody has it");
    let mut running = scene.start(&["clone", "--no-structure"]);
    let pid = "SELECT pg_backend_pid()";
    let held = holder.query_one(pid, &[]).await.expect("it answers");
    let held: i32 = held.get(0);
    let who = format!("waits on the target for process {held} ");
    running.must_say(&who).await;
    let client = scene.on_source().await;
    let client_pid: i32 = client.query_one(pid, &[]).await.expect("an answer").get(0);
    let alters = async {
        let alter = "ALTER TABLE public.notes ADD COLUMN late text";
        client.batch_execute(alter).await.expect("it comes after");
    };
    let named = async {
        let wants = "wants AccessExclusiveLock on public.notes";
        let who = format!("process {client_pid} (postgres) {wants}");
        running.must_say(&who).await;
        holder.batch_execute("COMMIT").await.expect("it is let go");
    };
    tokio::join!(alters, named);
    running.ended().await.expect_code(0);
}
