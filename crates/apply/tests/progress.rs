//! What is committed, what is durable, and what a new start reads back.

mod bench;

use std::time::Duration;

use bench::{Bench, end, insert, push_all, update};
use trunkline_apply::{Applier, ApplyError, Bounds, Durability, read_progress};
use trunkline_changes::{Lsn, ReplicaIdentity};
use trunkline_postgres::{Conninfo, Session};
use trunkline_testkit::FaultyProxy;

const T: &str = "CREATE TABLE public.t (id int PRIMARY KEY, v text)";

fn count(bench: &Bench) -> String {
    bench.target("SELECT count(*) FROM public.t")
}

#[tokio::test]
async fn a_transaction_too_big_for_a_batch_is_never_seen_in_part() {
    let mut bench = Bench::start().await;
    bench.target(T);
    let bounds = Bounds {
        batch_rows: 100,
        ..Bounds::default()
    };
    let mut applier = bench.applier().await.with_bounds(bounds);
    let table = bench.relation("public.t", ReplicaIdentity::Default);
    let small = bench.transaction(1, vec![insert(&table, &["-1", "x"])]);
    let small_end = end(&small);
    let rows: Vec<String> = (0..1050).map(|id| id.to_string()).collect();
    let changes = rows.iter().map(|id| insert(&table, &[id, "x"])).collect();
    let mut big = bench.transaction(2, changes);
    let big_end = end(&big);
    let commit = big.pop().expect("a commit");
    push_all(&mut applier, small).await.expect("it fits");
    push_all(&mut applier, big).await.expect("it fits");
    applier
        .flush(Durability::Durable)
        .await
        .expect("nothing can be committed");
    assert_eq!(
        count(&bench),
        "1",
        "the transaction before is committed, this one is not"
    );
    assert_eq!(applier.applied(), small_end);
    applier.push(commit).await.expect("it fits");
    let flushed = applier.flush(Durability::Fast).await;
    flushed.expect("it commits, if it was not committed before");
    assert_eq!(count(&bench), "1051");
    assert_eq!(applier.applied(), big_end);
    assert_eq!(applier.stats().batches, 2);
    assert_eq!(applier.stats().transactions, 2);
}

#[tokio::test]
async fn what_was_applied_before_is_passed_over_after_a_new_start() {
    let mut bench = Bench::start().await;
    bench.target(T);
    let table = bench.relation("public.t", ReplicaIdentity::Default);
    let first = bench.transaction(1, vec![insert(&table, &["1", "x"])]);
    let second = bench.transaction(2, vec![insert(&table, &["2", "x"])]);
    let mut applier = bench.applier().await;
    push_all(&mut applier, first.clone())
        .await
        .expect("it fits");
    applier
        .flush(Durability::Durable)
        .await
        .expect("it commits");
    push_all(&mut applier, second.clone())
        .await
        .expect("it waits");
    assert!(applier.is_waiting());
    drop(applier);
    let mut applier = bench.applier().await;
    assert_eq!(applier.applied(), end(&first));
    assert_eq!(applier.durable(), end(&first));
    // The stream repeats itself, even inside one session.
    for events in [&first, &second, &first, &second] {
        push_all(&mut applier, events.clone())
            .await
            .expect("it fits or is passed over");
    }
    applier.flush(Durability::Fast).await.expect("it commits");
    assert_eq!(count(&bench), "2");
    let mut session = Session::connect(&bench.conninfo(), "test")
        .await
        .expect("a session");
    let progress = read_progress(&mut session, "test")
        .await
        .expect("it reads")
        .expect("a row");
    assert_eq!(progress.applied, end(&second));
    assert_eq!(
        read_progress(&mut session, "other")
            .await
            .expect("it reads"),
        None
    );
}

#[tokio::test]
async fn only_a_durable_commit_may_be_confirmed() {
    let mut bench = Bench::start().await;
    bench.target(T);
    let table = bench.relation("public.t", ReplicaIdentity::Default);
    let mut applier = bench.applier().await;
    bench
        .apply(&mut applier, vec![insert(&table, &["1", "x"])])
        .await
        .expect("it fits");
    assert!(applier.applied() > Lsn::ZERO);
    if applier.durable() < applier.applied() {
        assert_eq!(applier.durable(), Lsn::ZERO);
    }
    applier
        .flush(Durability::Durable)
        .await
        .expect("it commits");
    assert_eq!(applier.durable(), applier.applied());
}

#[tokio::test]
async fn a_linger_of_zero_lets_nothing_wait() {
    let mut bench = Bench::start().await;
    bench.target(T);
    let mut applier = bench.lingering(Duration::ZERO).await;
    let table = bench.relation("public.t", ReplicaIdentity::Default);
    let events = bench.transaction(1, vec![insert(&table, &["1", "x"])]);
    let expected = end(&events);
    push_all(&mut applier, events).await.expect("it fits");
    // It was given to the writer, and is committed without another call.
    trunkline_testkit::until(Duration::from_secs(30), async || count(&bench) == "1").await;
    applier.flush(Durability::Fast).await.expect("it is done");
    assert_eq!(applier.applied(), expected);
}

#[tokio::test]
async fn an_empty_transaction_still_moves_the_position() {
    let mut bench = Bench::start().await;
    let mut applier = bench.applier().await;
    let events = bench.transaction(1, Vec::new());
    let expected = end(&events);
    push_all(&mut applier, events)
        .await
        .expect("nothing to write");
    applier
        .flush(Durability::Durable)
        .await
        .expect("it commits");
    assert_eq!(applier.durable(), expected);
}

#[tokio::test]
async fn a_second_run_is_noticed_by_the_progress_it_moved() {
    let mut bench = Bench::start().await;
    bench.target(T);
    let mut applier = bench.applier().await;
    bench.target("UPDATE trunkline.progress SET applied_lsn = '0/5'");
    let table = bench.relation("public.t", ReplicaIdentity::Default);
    let outcome = bench
        .apply(&mut applier, vec![insert(&table, &["1", "x"])])
        .await;
    assert!(
        matches!(outcome, Err(ApplyError::ProgressMoved { .. })),
        "{outcome:?}"
    );
    assert_eq!(count(&bench), "0");
    // Nor does a refusal in the same round trip hide it.
    bench.target("INSERT INTO public.t VALUES (1, 'x'), (2, 'x')");
    let mut applier = bench.applier().await;
    bench.target("UPDATE trunkline.progress SET applied_lsn = '0/6'");
    let changes = vec![
        update(&table, None, &["1", "y"]),
        insert(&table, &["1", "z"]),
    ];
    let outcome = bench.apply(&mut applier, changes).await;
    assert!(
        matches!(outcome, Err(ApplyError::ProgressMoved { .. })),
        "{outcome:?}"
    );
    // Nor does it where the other run has come exactly as far as this one is about to.
    let mut applier = bench.applier().await;
    let events = bench.transaction(1, vec![insert(&table, &["1", "z"])]);
    let moved = format!(
        "UPDATE trunkline.progress SET applied_lsn = '{}'",
        end(&events)
    );
    bench.target(&moved);
    push_all(&mut applier, events).await.expect("it waits");
    let outcome = applier.flush(Durability::Fast).await;
    assert!(
        matches!(outcome, Err(ApplyError::ProgressMoved { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_role_that_may_not_silence_triggers_is_refused_with_the_grant_it_needs() {
    let bench = Bench::start().await;
    bench.target(
        "CREATE ROLE mover LOGIN; GRANT USAGE ON SCHEMA trunkline TO mover; \
         GRANT ALL ON ALL TABLES IN SCHEMA trunkline TO mover",
    );
    let uri = bench.cluster.uri("target").replace("postgres@", "mover@");
    let conninfo = Conninfo::resolve(&uri).expect("a conninfo");
    let refused = Applier::open(&conninfo, bench.options())
        .await
        .err()
        .expect("refused");
    let ApplyError::ReplicaRole { role, remedy } = refused else {
        panic!("{refused}");
    };
    assert_eq!(role, "mover");
    bench.target(remedy.trim_start_matches("as a superuser: "));
    Applier::open(&conninfo, bench.options())
        .await
        .expect("the remedy helps");
}

#[tokio::test]
async fn a_connection_lost_in_a_commit_is_an_unknown_outcome_that_progress_settles() {
    let mut bench = Bench::start().await;
    bench.target(T);
    let proxy = FaultyProxy::start(bench.cluster.port()).await;
    let conninfo = Conninfo::resolve(&proxy.uri("target")).expect("a conninfo");
    let mut applier = Applier::open(&conninfo, bench.options())
        .await
        .expect("it opens");
    let table = bench.relation("public.t", ReplicaIdentity::Default);
    // A trigger that fires at the end of the transaction keeps the COMMIT busy until it is cut.
    bench.target(
        "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END'; \
         CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON public.t DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION public.slow(); \
         ALTER TABLE public.t ENABLE ALWAYS TRIGGER slow",
    );
    let blocker = bench.cluster.client("target").await;
    blocker
        .batch_execute("SELECT pg_advisory_lock(42)")
        .await
        .expect("a lock");
    let events = bench.transaction(1, vec![insert(&table, &["1", "x"])]);
    let expected = end(&events);
    push_all(&mut applier, events).await.expect("it waits");
    let watcher = bench.cluster.client("target").await;
    let cut = async {
        trunkline_testkit::until(Duration::from_secs(30), async || {
            let waiting = watcher
                .query_one(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
                    &[],
                )
                .await
                .expect("a count");
            waiting.get::<_, i64>(0) == 1
        })
        .await;
        proxy.cut();
        drop(blocker);
    };
    let (outcome, ()) = tokio::join!(applier.flush(Durability::Durable), cut);
    let Err(ApplyError::CommitUnknown { before, after, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((before, after), (Lsn::ZERO, expected));
    let settled = bench.applier().await;
    let happened = settled.applied() == expected;
    assert_eq!(count(&bench) == "1", happened);
}

#[tokio::test]
async fn an_applier_that_is_dropped_while_a_batch_is_written_leaves_it_whole_or_undone() {
    let mut bench = Bench::start().await;
    bench.target(T);
    let table = bench.relation("public.t", ReplicaIdentity::Default);
    for number in 1..=20 {
        let mut applier = bench.lingering(Duration::ZERO).await;
        let before = count(&bench);
        let ids: Vec<String> = (0..500)
            .map(|id| format!("{}", number * 1000 + id))
            .collect();
        let changes = ids.iter().map(|id| insert(&table, &[id, "x"])).collect();
        let events = bench.transaction(number, changes);
        let expected = end(&events);
        push_all(&mut applier, events)
            .await
            .expect("it is given to the writer");
        drop(applier);
        // Whoever comes next waits for what the server still does of it.
        let next = bench.applier().await;
        let rows = count(&bench);
        if next.applied() == expected {
            assert_eq!(
                rows.parse::<u32>(),
                before.parse().map(|rows: u32| rows + 500)
            );
        } else {
            assert_eq!(rows, before);
        }
    }
}
