//! Rows that the copy and the stream both hold are on the target exactly once.

mod bench;

use bench::{Bench, push_all};
use trunkline_apply::{Applier, ApplyOptions, CopyCover, Durability, KeyRange, TableCover};
use trunkline_changes::{SnapshotView, TableName};
use trunkline_testkit::contents::assert_same_contents;

const TABLES: &str = "CREATE TABLE public.whole (id bigint PRIMARY KEY, v int); \
    CREATE TABLE public.ranged (id bigint PRIMARY KEY, v int); \
    CREATE TABLE public.emptied (id bigint PRIMARY KEY, v int)";

/// Copies some rows under a snapshot of their own.
async fn copy(bench: &Bench, table: &str, condition: &str) -> SnapshotView {
    let source = bench.cluster.client("source").await;
    let snapshot = if bench.cluster.major() >= 13 {
        "pg_current_snapshot"
    } else {
        "txid_current_snapshot"
    };
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
    source.batch_execute(begin).await.expect("a snapshot");
    let view = source
        .query_one(&format!("SELECT {snapshot}()::text"), &[])
        .await
        .expect("a view");
    let rows = source
        .query(
            &format!("SELECT id, v FROM public.{table} WHERE {condition}"),
            &[],
        )
        .await
        .expect("rows");
    source.batch_execute("COMMIT").await.expect("an end");
    let target = bench.cluster.client("target").await;
    let insert = format!("INSERT INTO public.{table} VALUES ($1, $2)");
    for row in rows {
        let (id, v): (i64, Option<i32>) = (row.get(0), row.get(1));
        target
            .execute(&insert, &[&id, &v])
            .await
            .expect("a copied row");
    }
    view.get::<_, String>(0).parse().expect("a view")
}

/// A transaction that touches every table and every range, left open.
async fn begin_writing(bench: &Bench, base: i64) -> impl AsyncFnOnce() {
    let client = bench.cluster.client("source").await;
    let mut sql = String::from("BEGIN;");
    for table in ["whole", "ranged"] {
        let writes = format!(
            "INSERT INTO public.{table} SELECT i, 0 FROM generate_series({base} + 500, {base} + 509) i; \
             UPDATE public.{table} SET v = {base} WHERE id IN ({base} + 1, {base} + 51); \
             DELETE FROM public.{table} WHERE id IN ({base} + 2, {base} + 52); \
             UPDATE public.{table} SET id = id + 1000, v = v + 1 WHERE id IN ({base} + 3, {base} + 53); \
             UPDATE public.{table} SET id = id - 2000, v = v + 1 WHERE id = {base} + 60;"
        );
        sql.push_str(&writes);
    }
    client.batch_execute(&sql).await.expect("writes");
    async move || client.batch_execute("COMMIT").await.expect("a commit")
}

#[tokio::test]
async fn copies_under_many_snapshots_and_the_stream_give_the_source() {
    let bench = Bench::start().await;
    bench.both(TABLES);
    for table in ["whole", "ranged", "emptied"] {
        bench.source(&format!(
            "INSERT INTO public.{table} SELECT i, 0 FROM generate_series(0, 100) i"
        ));
    }
    bench.begin_stream();
    let before = begin_writing(&bench, 0).await;
    let across = begin_writing(&bench, 10).await;
    before().await;
    let whole = copy(&bench, "whole", "true").await;
    let lower = copy(&bench, "ranged", "id < 50").await;
    across().await;
    let after = begin_writing(&bench, 20).await;
    let emptied_lower = copy(&bench, "emptied", "id < 50").await;
    bench.source("TRUNCATE public.emptied");
    bench.source("INSERT INTO public.emptied VALUES (7, 7), (70, 70)");
    let upper = copy(&bench, "ranged", "id >= 50").await;
    let emptied_upper = copy(&bench, "emptied", "id >= 50").await;
    after().await;
    let late = begin_writing(&bench, 30).await;
    late().await;

    let ranges = |lower, upper| TableCover::ByKey {
        column: "id".into(),
        ranges: vec![
            KeyRange {
                lower: None,
                upper: Some(50),
                view: lower,
            },
            KeyRange {
                lower: Some(50),
                upper: None,
                view: upper,
            },
        ],
    };
    let mut cover = CopyCover::new();
    cover.insert(TableName::new("public", "whole"), TableCover::Whole(whole));
    cover.insert(TableName::new("public", "ranged"), ranges(lower, upper));
    cover.insert(
        TableName::new("public", "emptied"),
        ranges(emptied_lower, emptied_upper),
    );
    let options = ApplyOptions {
        cover,
        ..bench.options()
    };
    let mut applier = Applier::open(&bench.conninfo(), options)
        .await
        .expect("it opens");
    let events = bench.take_stream().await;
    push_all(&mut applier, events).await.expect("it fits");
    applier.flush(Durability::Durable).await.expect("it fits");
    assert!(applier.stats().skipped > 0);
    let source = bench.cluster.client("source").await;
    let target = bench.cluster.client("target").await;
    assert_same_contents(&source, &target).await;
    applier.close().await;
}
