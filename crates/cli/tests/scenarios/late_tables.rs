//! Tables that are made while a cutover is under way: their rows are in no publication, and no
//! comparison would show that they stay behind.

use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::Scene;
use crate::scene::notes::notes;

const MAKE: &str = "CREATE TABLE public.late (id int PRIMARY KEY); \
                    INSERT INTO public.late VALUES (1)";

/// A table with one partition.
const ORDERS: &str = "CREATE TABLE public.orders (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE public.orders_old PARTITION OF public.orders FOR VALUES FROM (0) TO (10);
    INSERT INTO public.orders VALUES (1), (2)";

async fn verified() -> Scene {
    let scene = notes().await;
    scene.done(&["run", "--until", "verified"]).await;
    scene
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_made_behind_the_comparison_is_refused_before_clients_are_held() {
    skip_unless_available!(any_major());
    let scene = verified().await;
    // The slot of the way back waits for it; the comparison is over by then.
    let writer = scene.on_target().await;
    let begin = "BEGIN; SELECT pg_catalog.txid_current()";
    writer.batch_execute(begin).await.expect("it may");
    let mut cutover = scene.start(&["cutover"]);
    cutover.must_say("waits for process").await;
    scene.source_says(MAKE);
    writer.batch_execute("COMMIT").await.expect("it ends");
    let ran = cutover.ended().await.expect_code(9);
    assert!(ran.stderr.contains("late"), "{ran}");
    assert_eq!(scene.phase().await, "verified");
    scene.source_says("INSERT INTO public.notes VALUES (900, 'served'); DROP TABLE public.late");
    scene.done(&["cutover"]).await;
    let served = "SELECT count(*) FROM public.notes WHERE id = 900";
    assert_eq!(scene.target_says(served).trim(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_made_while_clients_are_held_gives_them_their_side_back() {
    skip_unless_available!(any_major());
    let mut scene = verified().await;
    let hold = format!(
        "psql -X -q -d '{}' -c \"{MAKE}\"",
        scene.source.uri(&scene.database)
    );
    scene.plan(&format!(
        "[cutover]\ntraffic = {{ kind = \"command\", hold = '''{hold}''' }}\n"
    ));
    let ran = scene.trunkline(&["cutover", "--json"]).await.expect_code(7);
    let report = ran.json();
    let reason = report["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("public.late was made"), "{report:#}");
    scene.source_says("INSERT INTO public.late VALUES (2)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_was_detached_since_is_no_part_of_the_target_either() {
    skip_unless_available!(any_major());
    let scene = notes().await.with(ORDERS);
    scene.done(&["run", "--until", "verified"]).await;
    let detach = "ALTER TABLE public.orders DETACH PARTITION public.orders_old";
    scene.source_says(detach);
    let ran = scene.trunkline(&["cutover"]).await;
    assert_ne!(ran.code, Some(0), "{ran}");
    assert!(ran.stderr.contains("orders_old"), "{ran}");
    scene.target_says(detach);
    scene.done(&["cutover"]).await;
    scene.assert_same_rows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_moves_without_the_table_above_it_goes_there_and_back() {
    skip_unless_available!(any_major());
    let scene = notes().await.with(ORDERS);
    let only = ["--include", "public.orders_old"];
    let with = |command: &[&'static str]| [command, &only[..]].concat();
    scene.done(&with(&["run", "--until", "verified"])).await;
    scene.done(&with(&["cutover"])).await;
    scene.target_says("INSERT INTO public.orders_old VALUES (3)");
    scene.done(&with(&["rollback"])).await;
    let came = "SELECT count(*) FROM public.orders";
    assert_eq!(scene.source_says(came).trim(), "3");
}
