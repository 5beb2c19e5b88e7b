//! Every type, name, key and partition, changed in every way that a stream can carry, taken
//! from a real slot and applied by each of the writer's ways.

mod bench;

use bench::{Bench, push_all};
use trunkline_apply::{Bounds, Durability};
use trunkline_changes::StreamEvent;
use trunkline_testkit::Cluster;
use trunkline_testkit::contents::assert_same_contents;
use trunkline_testkit::types::TypeMatrix;

/// How the stream is cut into batches.
#[derive(Clone, Copy)]
enum Cut {
    /// Everything in one.
    Once,
    /// Each transaction by itself.
    EachTransaction,
}

async fn apply_the_matrix(bounds: Bounds, cut: Cut, prepare_target: &str) {
    let bench = Bench::on(Cluster::start_any()).await;
    let matrix = TypeMatrix::for_major(bench.cluster.major());
    let source = bench.cluster.client("source").await;
    let target = bench.cluster.client("target").await;
    matrix.create_in(&source).await;
    matrix.create_in(&target).await;
    bench.target(prepare_target);
    bench.begin_stream();
    let mut applier = bench.applier().await.with_bounds(bounds);
    for round in 1..=3 {
        matrix.mutate_in(&source, round).await;
        for event in bench.take_stream().await {
            let ends = matches!(event, StreamEvent::Commit { .. });
            applier
                .push(event)
                .await
                .unwrap_or_else(|error| panic!("round {round}: {error}"));
            if ends && matches!(cut, Cut::EachTransaction) {
                flush(&mut applier, round).await;
            }
        }
        flush(&mut applier, round).await;
        assert_same_contents(&source, &target).await;
    }
    eprintln!("{:?}", applier.stats());
    assert_eq!(applier.stats().parked, 0);
}

async fn flush(applier: &mut trunkline_apply::Applier, round: u32) {
    let flushed = applier.flush(Durability::Fast).await;
    flushed.unwrap_or_else(|error| panic!("round {round}: {error}"));
}

#[tokio::test]
async fn the_matrix_arrives_in_big_batches() {
    apply_the_matrix(Bounds::default(), Cut::Once, "").await;
}

#[tokio::test]
async fn the_matrix_arrives_transaction_by_transaction() {
    apply_the_matrix(Bounds::default(), Cut::EachTransaction, "").await;
}

#[tokio::test]
async fn the_matrix_arrives_by_unnest() {
    let bounds = Bounds {
        set_rows: 1,
        copy_rows: usize::MAX,
        ..Bounds::default()
    };
    apply_the_matrix(bounds, Cut::EachTransaction, "").await;
}

#[tokio::test]
async fn the_matrix_arrives_by_copy_and_unnest() {
    let bounds = Bounds {
        set_rows: 1,
        copy_rows: 1,
        ..Bounds::default()
    };
    apply_the_matrix(bounds, Cut::Once, "").await;
}

#[tokio::test]
async fn the_matrix_arrives_in_parts_of_seven_changes() {
    let bounds = Bounds {
        batch_rows: 7,
        ..Bounds::default()
    };
    apply_the_matrix(bounds, Cut::Once, "").await;
}

#[tokio::test]
async fn the_matrix_arrives_one_by_one_where_triggers_always_fire() {
    let triggers = "CREATE FUNCTION public.idle() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN RETURN NULL; END'; \
        DO $$ DECLARE t regclass; BEGIN \
        FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^(pg_|information_schema|trunkline)' LOOP \
        EXECUTE format('CREATE TRIGGER zz_idle AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION public.idle()', t); \
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER zz_idle', t); END LOOP; END $$";
    apply_the_matrix(Bounds::default(), Cut::Once, triggers).await;
}

#[tokio::test]
async fn every_row_of_the_matrix_arrives_many_times_by_copy_and_by_unnest() {
    let bench = Bench::on(Cluster::start_any()).await;
    let matrix = TypeMatrix::for_major(bench.cluster.major());
    let source = bench.cluster.client("source").await;
    matrix.create_in(&source).await;
    let target = bench.cluster.client("target").await;
    matrix.create_in(&target).await;
    bench.begin_stream();
    // Every table is emptied and filled again in one transaction.
    bench.source(
        "DO $$ DECLARE t record; BEGIN SET LOCAL session_replication_role = replica; \
         FOR t IN SELECT oid::regclass AS name, (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute \
         WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns FROM pg_class c \
         WHERE relkind = 'r' AND relpersistence = 'p' AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)' LOOP \
         EXECUTE format('CREATE TEMP TABLE held ON COMMIT DROP AS SELECT * FROM ONLY %s', t.name); \
         EXECUTE format('TRUNCATE ONLY %s CASCADE', t.name); \
         IF t.columns IS NOT NULL THEN \
         EXECUTE format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM held', t.name, t.columns, t.columns); END IF; \
         DROP TABLE held; END LOOP; END $$",
    );
    let events = bench.take_stream().await;
    for copy_rows in [1, usize::MAX] {
        bench.target("DELETE FROM trunkline.progress");
        let bounds = Bounds {
            set_rows: 1,
            copy_rows,
            ..Bounds::default()
        };
        let mut applier = bench.applier().await.with_bounds(bounds);
        push_all(&mut applier, events.clone())
            .await
            .expect("it fits");
        applier.flush(Durability::Durable).await.expect("it fits");
        assert_eq!(applier.stats().one_by_one, 0, "{copy_rows}");
        assert_same_contents(&source, &target).await;
    }
}
