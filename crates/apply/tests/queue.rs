//! Batches on their way: one written, one prepared, and what a failure or a dropped call leaves.

mod bench;

use std::time::Duration;

use bench::{Bench, end, insert, push_all, update};
use trunkline_apply::{ApplyError, Durability};
use trunkline_changes::{Lsn, ReplicaIdentity};

const TABLES: &str = "CREATE TABLE public.t (id int PRIMARY KEY, v text); \
    INSERT INTO public.t VALUES (0, 'before')";

fn rows(bench: &Bench) -> String {
    bench.target("SELECT count(*) || ' ' || max(v) FILTER (WHERE id = 0) FROM public.t")
}

#[tokio::test]
async fn batches_that_follow_each_other_at_once_arrive_in_order_and_once() {
    let mut bench = Bench::start().await;
    bench.target(TABLES);
    let table = bench.relation("public.t", ReplicaIdentity::Default);
    let mut applier = bench.lingering(Duration::ZERO).await;
    let mut last = Lsn::ZERO;
    for number in 1..=100 {
        let id = number.to_string();
        let changes = vec![
            insert(&table, &[&id, "new"]),
            update(&table, None, &["0", &format!("{number:03}")]),
        ];
        let events = bench.transaction(number, changes);
        last = end(&events);
        push_all(&mut applier, events).await.expect("it fits");
        assert!(applier.durable() <= applier.applied() && applier.applied() <= last);
    }
    applier.flush(Durability::Durable).await.expect("it fits");
    assert_eq!(rows(&bench), "101 100");
    assert_eq!((applier.applied(), applier.durable()), (last, last));
    let stats = applier.stats();
    assert_eq!((stats.batches, stats.transactions), (100, 100));
    assert_eq!((stats.inserted, stats.updated), (100, 100));
}

#[tokio::test]
async fn behind_a_batch_that_fails_nothing_is_written_and_its_failure_is_told_first() {
    let mut bench = Bench::start().await;
    bench.target(TABLES);
    let table = bench.relation("public.t", ReplicaIdentity::Default);
    let mut applier = bench.lingering(Duration::ZERO).await;
    let missing = bench.transaction(1, vec![update(&table, None, &["77", "x"])]);
    let good = bench.transaction(2, vec![insert(&table, &["1", "x"])]);
    for events in [missing, good] {
        let pushed = push_all(&mut applier, events).await;
        pushed.expect("it is on its way");
    }
    bench.target("CREATE TABLE public.stranger (id int PRIMARY KEY)");
    let stranger = bench.relation("public.stranger", ReplicaIdentity::Default);
    let unmapped = bench.transaction(3, vec![insert(&stranger, &["1"])]);
    let outcome = push_all(&mut applier, unmapped).await;
    assert!(
        matches!(outcome, Err(ApplyError::Conflict(_))),
        "{outcome:?}"
    );
    assert_eq!(rows(&bench), "1 before");
    assert_eq!(applier.applied(), Lsn::ZERO);
    applier.close().await;
    let open = "SELECT count(*) FROM pg_stat_activity \
                WHERE application_name = 'trunkline apply' AND state LIKE 'idle in transaction%'";
    assert_eq!(bench.target(open), "0");
}

#[tokio::test]
async fn a_batch_whose_call_was_dropped_is_not_forgotten() {
    let mut bench = Bench::start().await;
    bench.target(TABLES);
    let table = bench.relation("public.t", ReplicaIdentity::Default);
    let mut applier = bench.applier().await;
    let events = bench.transaction(1, vec![insert(&table, &["1", "x"])]);
    let pushed = push_all(&mut applier, events.clone()).await;
    pushed.expect("it waits");
    tokio::select! {
        biased;
        flushed = applier.flush(Durability::Fast) => panic!("at once: {flushed:?}"),
        () = std::future::ready(()) => {}
    }
    let watcher = bench.cluster.client("target").await;
    trunkline_testkit::until(Duration::from_secs(30), async || {
        let row = watcher
            .query_one("SELECT count(*) FROM public.t", &[])
            .await;
        row.expect("a count").get::<_, i64>(0) == 2
    })
    .await;
    // Whatever the applier does then, it does not write it again.
    let again = push_all(&mut applier, events.clone()).await;
    again.expect("it is passed over");
    applier
        .flush(Durability::Durable)
        .await
        .expect("it is there");
    assert_eq!(rows(&bench), "2 before");
    assert_eq!(applier.applied(), end(&events));
}
