//! Rows that stand in each other's way, and columns that an UPDATE cannot set.

use trunkline_verify::{DifferenceKind, KeyValue, RowDifference};

use crate::bench::{Bench, MENDED, SCRIPTED};

#[tokio::test]
async fn rows_that_exchanged_unique_values_mend() {
    let bench = Bench::set_up(
        "CREATE TABLE t (id int PRIMARY KEY, u text NOT NULL UNIQUE, v text); \
         CREATE UNIQUE INDEX ON t (lower(v)); \
         CREATE TABLE rooms (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&))",
        "INSERT INTO t VALUES (1, 'a', 'X'), (2, 'b', 'y'), (3, 'c', 'z'); \
         INSERT INTO rooms VALUES (1, '[1,5)'), (2, '[5,9)')",
        "INSERT INTO t VALUES (1, 'b', 'y'), (2, 'a', 'z'), (4, 'c', 'x'); \
         INSERT INTO rooms VALUES (1, '[4,9)'), (2, '[1,4)')",
    )
    .await;
    let repaired = bench.mend_both().await;
    assert_eq!((repaired.mended, repaired.transactions), (6, 1));
}

#[tokio::test]
async fn rows_that_stand_in_the_way_of_other_batches_mend() {
    let rows = "INSERT INTO t SELECT i, (i + OFFSET_BY) % 1700 FROM generate_series(0, 1699) AS i";
    let bench = Bench::set_up(
        "CREATE TABLE t (id int PRIMARY KEY, u int NOT NULL UNIQUE)",
        &rows.replace("OFFSET_BY", "0"),
        &rows.replace("OFFSET_BY", "601"),
    )
    .await;
    assert_eq!(bench.mend_both().await.mended, 1700);
}

#[tokio::test]
async fn an_identity_that_is_always_generated_takes_the_source_s_value() {
    let bench = Bench::set_up(
        "CREATE TABLE t (id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, v text)",
        "INSERT INTO t VALUES (1, DEFAULT, 'a'), (2, DEFAULT, 'b')",
        "INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (1, 70, 'a'), (2, 80, 'x')",
    )
    .await;
    bench.mend_both().await;
}

#[tokio::test]
async fn computed_columns_are_computed_again() {
    let bench = Bench::set_up(
        "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2'; \
         CREATE TABLE t (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (public.f(a)) STORED, \
                         five int GENERATED ALWAYS AS (public.f(5)) STORED); \
         CREATE TABLE keyed (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a + 1) STORED UNIQUE)",
        "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3); INSERT INTO keyed VALUES (1, 1), (2, 2)",
        "CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 3'; \
         INSERT INTO t VALUES (1, 1), (2, 7); INSERT INTO keyed VALUES (1, 2), (2, 1); \
         CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2'",
    )
    .await;
    bench.mend_both().await;
}

#[tokio::test]
async fn a_column_that_the_target_computes_otherwise_when_read_is_left() {
    trunkline_testkit::skip_unless_available!(18);
    let bench = Bench::between(18, 18).await;
    let table = "CREATE TABLE t (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a + BY)); \
                 INSERT INTO t VALUES (1, 1)";
    bench.target().psql("source", &table.replace("BY", "1"));
    bench.target().psql(MENDED, &table.replace("BY", "2"));
    bench.target().psql(SCRIPTED, &table.replace("BY", "2"));
    let differences = bench.differences(MENDED).await;
    let repaired = bench.repair(&differences).await.expect("nothing to do");
    assert_eq!((repaired.mended, repaired.left), (0, 1));
    let (path, rows) = bench.write(&differences).await;
    assert_eq!(rows, 0);
    let text = std::fs::read_to_string(path).expect("a script");
    assert!(text.contains("-- left alone"), "{text}");
}

#[tokio::test]
async fn what_only_the_target_has_of_a_row_is_kept() {
    let bench = Bench::set_up(
        "CREATE TABLE t (id int PRIMARY KEY, u text UNIQUE)",
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        "ALTER TABLE t ADD own text DEFAULT 'default'; \
         INSERT INTO t VALUES (1, 'b', 'one'), (2, 'a', NULL)",
    )
    .await;
    let differences = bench.differences(MENDED).await;
    bench.repair(&differences).await.expect("mended");
    let (path, _) = bench.write(&bench.differences(SCRIPTED).await).await;
    assert!(bench.psql(&path).status.success());
    for database in [MENDED, SCRIPTED] {
        let rows = bench.target().psql(database, "SELECT * FROM t ORDER BY id");
        assert_eq!(rows, "1|a|one\n2|b|\n3|c|default", "{database}");
    }
}

#[tokio::test]
async fn a_row_moves_to_the_partition_where_the_source_s_values_belong() {
    let bench = Bench::set_up(
        "CREATE TABLE p (id int, region text, v text) PARTITION BY LIST (region); \
         CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu'); \
         CREATE TABLE p_us PARTITION OF p FOR VALUES IN ('us')",
        "INSERT INTO p VALUES (1, 'eu', 'a'), (2, 'us', 'b')",
        "INSERT INTO p VALUES (1, 'us', 'a'), (2, 'us', 'x')",
    )
    .await;
    for database in [MENDED, SCRIPTED] {
        let by_content = bench.differences(database).await;
        assert_eq!(by_content.len(), 4);
        let mut differences = Vec::new();
        for id in ["1", "2"] {
            differences.push(joined(&bench, database, &by_content, id).await);
        }
        if database == MENDED {
            bench.repair(&differences).await.expect("mended");
        } else {
            let (path, _) = bench.write(&differences).await;
            assert!(bench.psql(&path).status.success());
        }
    }
    bench.assert_same().await;
}

/// The missing and the extra row with this id, as one that differs.
async fn joined(bench: &Bench, database: &str, found: &[RowDifference], id: &str) -> RowDifference {
    let mut source = bench.source().await;
    let mut target = bench.target_session(database).await;
    let mut difference = found[0].clone();
    difference.kind = DifferenceKind::Different;
    difference.columns = vec!["region".to_owned(), "v".to_owned()];
    difference.key = vec![KeyValue {
        column: "id".to_owned(),
        value: Some(id.to_owned()),
    }];
    let sql = "SELECT tableoid::regclass::text, ctid FROM public.p WHERE id = $1::int";
    for (session, place) in [
        (&mut source, &mut difference.source),
        (&mut target, &mut difference.target),
    ] {
        let row = session.query_one(sql, &[&id]).await.expect("a row");
        *place = Some(trunkline_verify::Place {
            relation: row.get(0).expect("a table"),
            ctid: row.get(1).expect("a place"),
        });
    }
    difference
}
