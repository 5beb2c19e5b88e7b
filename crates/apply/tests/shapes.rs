//! Columns, keys and tables that are not plain.

mod bench;

use std::sync::Arc;

use bench::{Bench, delete, insert, update};
use trunkline_apply::{Applier, ApplyError, ApplyOptions, TableMap};
use trunkline_changes::{Change, Relation, ReplicaIdentity, TableName};

fn truncate(relations: &[&Arc<Relation>]) -> Change {
    Change::Truncate {
        relations: relations
            .iter()
            .map(|relation| Arc::clone(relation))
            .collect(),
        cascade: false,
        restart_identity: true,
    }
}

fn rows(bench: &Bench, table: &str) -> String {
    bench.target(&format!(
        "SELECT coalesce(string_agg(t::text, ' ' ORDER BY t::text), '') FROM {table} t"
    ))
}

#[tokio::test]
async fn identity_columns_that_are_generated_always_change_in_the_key_and_beside_it() {
    let mut bench = Bench::start().await;
    bench.target(
        "CREATE TABLE public.k (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, local text DEFAULT 'kept'); \
         CREATE TABLE public.n (id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, v text); \
         INSERT INTO public.k (v) VALUES ('a'), ('b'); INSERT INTO public.n (id, v) VALUES (1, 'a'), (2, 'b')",
    );
    let mut applier = bench.applier().await;
    let mut k = (*bench.relation("public.k", ReplicaIdentity::Default)).clone();
    // The target has a column of its own.
    k.columns.pop();
    let k = Arc::new(k);
    let n = bench.relation("public.n", ReplicaIdentity::Default);
    let changes = vec![
        update(&k, Some(&["1", "-"]), &["10", "?"]),
        update(&k, Some(&["2", "-"]), &["20", "B"]),
        insert(&k, &["30", "c"]),
        update(&n, None, &["1", "1", "A"]),
        update(&n, None, &["2", "99", "B"]),
    ];
    bench.apply(&mut applier, changes).await.expect("it fits");
    assert_eq!(
        rows(&bench, "public.k"),
        "(10,a,kept) (20,B,kept) (30,c,kept)"
    );
    assert_eq!(rows(&bench, "public.n"), "(1,1,A) (2,99,B)");
}

#[tokio::test]
async fn a_key_of_a_type_from_another_schema_is_compared_by_its_own_operator() {
    let mut bench = Bench::start().await;
    bench.target(
        "CREATE SCHEMA \"Ext\"; CREATE EXTENSION citext SCHEMA \"Ext\"; \
         CREATE TABLE public.c (id \"Ext\".citext PRIMARY KEY, v text); \
         INSERT INTO public.c SELECT 'Key' || i, 'old' FROM generate_series(1, 200) i",
    );
    let mut applier = bench.applier().await;
    let table = bench.relation("public.c", ReplicaIdentity::Default);
    let keys: Vec<String> = (1..=200).map(|i| format!("Key{i}")).collect();
    let changes = keys
        .iter()
        .map(|key| update(&table, None, &[key, "new"]))
        .collect();
    bench.apply(&mut applier, changes).await.expect("it fits");
    let changes = vec![
        update(&table, Some(&["Key1", "-"]), &["KEY1", "moved"]),
        delete(&table, &["Key2", "-"]),
    ];
    bench.apply(&mut applier, changes).await.expect("it fits");
    assert_eq!(applier.stats().one_by_one, 0);
    assert_eq!(
        bench.target("SELECT count(*), count(*) FILTER (WHERE v = 'new') FROM public.c"),
        "199|198"
    );
    assert_eq!(
        bench.target("SELECT id FROM public.c WHERE v = 'moved'"),
        "KEY1"
    );
}

#[tokio::test]
async fn a_thousand_columns_with_odd_names_arrive_as_a_set_and_one_by_one() {
    let mut bench = Bench::start().await;
    bench.target(
        "DO $$ BEGIN EXECUTE (SELECT 'CREATE TABLE public.\"Wide \"\"One\" (id int PRIMARY KEY, ' || \
         string_agg(format('%I text', 'Column \"' || i || '\" $1'), ', ') || ')' FROM generate_series(1, 999) i); END $$",
    );
    let mut applier = bench.applier().await;
    let table = bench.relation("public.\"Wide \"\"One\"", ReplicaIdentity::Default);
    let ids: Vec<String> = (0..100).map(|id| id.to_string()).collect();
    let changes = ids
        .iter()
        .map(|id| {
            insert(
                &table,
                &std::iter::once(id.as_str())
                    .chain(["x"; 999])
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    bench.apply(&mut applier, changes).await.expect("it fits");
    let one = std::iter::once("5")
        .chain(["y"; 500])
        .chain(["?"; 499])
        .collect::<Vec<_>>();
    bench
        .apply(&mut applier, vec![update(&table, None, &one)])
        .await
        .expect("it fits");
    let found = bench.target(
        "SELECT count(*), count(*) FILTER (WHERE \"Column \"\"500\"\" $1\" = 'y'), \
         count(*) FILTER (WHERE \"Column \"\"501\"\" $1\" = 'x') FROM public.\"Wide \"\"One\"",
    );
    assert_eq!(found, "100|1|100");
}

#[tokio::test]
async fn of_equal_rows_without_a_key_one_is_touched() {
    let mut bench = Bench::start().await;
    bench.target(
        "CREATE TABLE public.f (a numeric, j json, n int); \
         CREATE TABLE public.p (a int, v text) PARTITION BY LIST (a); \
         CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES IN (1); \
         CREATE TABLE public.p2 PARTITION OF public.p DEFAULT; \
         INSERT INTO public.f VALUES (1.0, '{\"a\":1}', NULL), (1.00, '{\"a\":1}', NULL), (1.0, '{\"a\":1}', NULL); \
         INSERT INTO public.p VALUES (1, 'x'), (1, 'x'), (2, 'x')",
    );
    let mut applier = bench.applier().await;
    let f = bench.relation("public.f", ReplicaIdentity::Full);
    let p = bench.relation("public.p", ReplicaIdentity::Full);
    let changes = vec![
        update(&f, Some(&["1.0", "{\"a\":1}", "-"]), &["1.0", "?", "5"]),
        delete(&f, &["1.00", "{\"a\":1}", "-"]),
        update(&p, Some(&["1", "x"]), &["2", "moved"]),
        delete(&p, &["2", "x"]),
    ];
    bench.apply(&mut applier, changes).await.expect("it fits");
    assert_eq!(
        rows(&bench, "public.f"),
        "(1.0,\"{\"\"a\"\":1}\",) (1.0,\"{\"\"a\"\":1}\",5)"
    );
    assert_eq!(rows(&bench, "public.p"), "(1,x) (2,moved)");
    let changes = vec![delete(&f, &["1.00", "{\"a\":1}", "-"])];
    let outcome = bench.apply(&mut applier, changes).await;
    assert!(
        matches!(outcome, Err(ApplyError::Conflict(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_full_identity_uses_the_targets_key_where_there_is_one() {
    let mut bench = Bench::start().await;
    bench.target(
        "CREATE TABLE public.f (v text, id int NOT NULL UNIQUE); \
         INSERT INTO public.f SELECT 'v', i FROM generate_series(1, 300) i",
    );
    let mut applier = bench.applier().await;
    let table = bench.relation("public.f", ReplicaIdentity::Full);
    let ids: Vec<String> = (1..=300).map(|id| id.to_string()).collect();
    let changes = ids
        .iter()
        .map(|id| update(&table, Some(&["v", id]), &["w", id]))
        .collect();
    bench.apply(&mut applier, changes).await.expect("it fits");
    assert_eq!(
        bench.target("SELECT count(*) FROM public.f WHERE v = 'w'"),
        "300"
    );
    let scans = bench.target("SELECT pg_stat_clear_snapshot(); SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'f'");
    assert!(scans.trim().parse::<u32>().expect("a count") < 5, "{scans}");
}

#[tokio::test]
async fn leaves_may_go_to_a_table_that_is_divided_otherwise() {
    let mut bench = Bench::start().await;
    bench.target(
        "CREATE TABLE public.whole (id int PRIMARY KEY, v text) PARTITION BY HASH (id); \
         CREATE TABLE public.whole_0 PARTITION OF public.whole FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
         CREATE TABLE public.whole_1 PARTITION OF public.whole FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
    );
    let mut tables = TableMap::new();
    for leaf in ["a", "b"] {
        tables.route(
            TableName::new("public", leaf),
            TableName::new("public", "whole"),
        );
    }
    let options = ApplyOptions {
        tables,
        ..bench.options()
    };
    let mut applier = Applier::open(&bench.conninfo(), options)
        .await
        .expect("it opens");
    let whole = bench.relation("public.whole", ReplicaIdentity::Default);
    let leaf = |name: &str, id| {
        let mut leaf = (*whole).clone();
        leaf.name = TableName::new("public", name);
        leaf.id = id;
        leaf
    };
    let a = Arc::new(leaf("a", 1));
    let mut b = leaf("b", 2);
    b.columns.reverse();
    let b = Arc::new(b);
    let changes = vec![
        insert(&a, &["1", "a"]),
        insert(&a, &["2", "a"]),
        insert(&b, &["b", "3"]),
        delete(&a, &["1", "-"]),
        insert(&b, &["moved", "1"]),
        update(&b, None, &["moved twice", "1"]),
    ];
    bench.apply(&mut applier, changes).await.expect("it fits");
    assert_eq!(
        rows(&bench, "public.whole"),
        "(1,\"moved twice\") (2,a) (3,b)"
    );
    bench
        .apply(
            &mut applier,
            vec![truncate(&[&a, &b]), insert(&a, &["4", "x"])],
        )
        .await
        .expect("it fits");
    assert_eq!(rows(&bench, "public.whole"), "(4,x)");
    let outcome = bench.apply(&mut applier, vec![truncate(&[&a])]).await;
    assert!(
        matches!(
            outcome,
            Err(ApplyError::PartialTruncate {
                listed: 1,
                all: 2,
                ..
            })
        ),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_truncate_that_foreign_keys_forbid_is_done_by_delete() {
    let mut bench = Bench::start().await;
    bench.target(
        "CREATE TABLE public.a (id int PRIMARY KEY); \
         CREATE TABLE public.b (id int PRIMARY KEY, a int REFERENCES public.a); \
         CREATE TABLE public.heir () INHERITS (public.a); \
         INSERT INTO public.a VALUES (1); INSERT INTO public.b VALUES (1, 1); INSERT INTO public.heir VALUES (7)",
    );
    let mut applier = bench.applier().await;
    let a = bench.relation("public.a", ReplicaIdentity::Default);
    bench
        .apply(&mut applier, vec![truncate(&[&a]), insert(&a, &["2"])])
        .await
        .expect("it fits");
    assert_eq!(rows(&bench, "ONLY public.a"), "(2)");
    assert_eq!(rows(&bench, "public.heir"), "(7)");
    let b = bench.relation("public.b", ReplicaIdentity::Default);
    bench
        .apply(&mut applier, vec![truncate(&[&a, &b])])
        .await
        .expect("it fits");
    assert_eq!(
        rows(&bench, "ONLY public.a") + &rows(&bench, "public.b"),
        ""
    );
    assert_eq!(applier.stats().truncated, 3);
}

#[tokio::test]
async fn a_column_that_the_target_lacks_is_named_and_one_that_it_got_is_used() {
    let mut bench = Bench::start().await;
    bench.target("CREATE TABLE public.t (id int PRIMARY KEY)");
    let mut applier = bench.applier().await;
    let table = bench.relation("public.t", ReplicaIdentity::Default);
    bench
        .apply(&mut applier, vec![insert(&table, &["1"])])
        .await
        .expect("it fits");
    bench.target("ALTER TABLE public.t ADD COLUMN more text");
    let wider = bench.relation("public.t", ReplicaIdentity::Default);
    bench
        .apply(&mut applier, vec![insert(&wider, &["2", "m"])])
        .await
        .expect("it fits");
    assert_eq!(rows(&bench, "public.t"), "(1,) (2,m)");
    bench.target("ALTER TABLE public.t DROP COLUMN more");
    let mut applier = bench.applier().await;
    let outcome = bench
        .apply(&mut applier, vec![insert(&wider, &["3", "m"])])
        .await;
    let Err(ApplyError::MissingColumn { column, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(column, "more");
}

#[tokio::test]
async fn a_table_that_nobody_mentioned_is_an_error_and_an_ignored_one_is_not() {
    let mut bench = Bench::start().await;
    bench.target("CREATE TABLE public.t (id int PRIMARY KEY)");
    let table = bench.relation("public.t", ReplicaIdentity::Default);
    let mut tables = TableMap::new();
    tables.ignore(TableName::new("public", "t"));
    let options = ApplyOptions {
        tables,
        ..bench.options()
    };
    let mut applier = Applier::open(&bench.conninfo(), options)
        .await
        .expect("it opens");
    bench
        .apply(&mut applier, vec![insert(&table, &["1"])])
        .await
        .expect("left out");
    assert_eq!(rows(&bench, "public.t"), "");
    let options = ApplyOptions {
        tables: TableMap::new(),
        ..bench.options()
    };
    let mut applier = Applier::open(&bench.conninfo(), options)
        .await
        .expect("it opens");
    let outcome = bench
        .apply(&mut applier, vec![insert(&table, &["1"])])
        .await;
    assert!(
        matches!(outcome, Err(ApplyError::UnmappedTable { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn updates_without_any_identity_are_refused_and_inserts_are_not() {
    let mut bench = Bench::start().await;
    bench.target("CREATE TABLE public.t (id int PRIMARY KEY)");
    let mut applier = bench.applier().await;
    let table = bench.relation("public.t", ReplicaIdentity::Nothing);
    bench
        .apply(&mut applier, vec![insert(&table, &["1"])])
        .await
        .expect("it fits");
    let outcome = bench
        .apply(&mut applier, vec![update(&table, None, &["1"])])
        .await;
    assert!(
        matches!(outcome, Err(ApplyError::NoIdentity { .. })),
        "{outcome:?}"
    );
}
