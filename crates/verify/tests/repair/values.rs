//! Values that are large, that hide in a comparison, or that would end a comment.

use crate::bench::{Bench, MENDED, SCRIPTED};

#[tokio::test]
async fn values_of_thirty_megabytes_mend() {
    let rows = |salt: &str, ids: &str, v: i32| {
        let body = format!("repeat(md5('{salt}'), 1000000)");
        format!(
            "INSERT INTO t SELECT i, {body}, {v} FROM generate_series({ids}) AS i; \
             INSERT INTO raws VALUES ({v}, decode({body}, 'hex')); \
             INSERT INTO keyless VALUES ({body})"
        )
    };
    let bench = Bench::set_up(
        "CREATE TABLE t (id int PRIMARY KEY, body text, v int); \
         CREATE TABLE raws (id int PRIMARY KEY, raw bytea); CREATE TABLE keyless (body text); \
         ALTER TABLE t ALTER body SET STORAGE EXTERNAL; \
         ALTER TABLE raws ALTER raw SET STORAGE EXTERNAL",
        &rows("a", "1, 2", 1),
        &rows("b", "2, 3", 2),
    )
    .await;
    bench.mend_both().await;
}

#[tokio::test]
async fn rows_that_compare_as_equal_are_told_apart() {
    let bench = Bench::set_up(
        "CREATE TABLE padded (c bpchar, n numeric, f float8, b boolean, j jsonb)",
        "INSERT INTO padded VALUES ('a', 1.0, '-0', true, '1.0'), ('', 1, 0, NULL, '1'), (NULL, 1, 0, false, '1')",
        "INSERT INTO padded VALUES ('a ', 1.0, '-0', true, '1.0'), ('a', 1.00, '-0', true, '1.0'), \
         ('a', 1.0, '0', true, '1.0'), ('a', 1.0, '-0', true, '1.00'), ('a', 1.0, '-0', true, '1.0'), \
         ('a', 1.0, '-0', true, '1.0'), (NULL, 1, 0, NULL, '1'), (' ', 1, 0, NULL, '1')",
    )
    .await;
    bench.mend_both().await;
}

#[tokio::test]
async fn letters_that_a_collation_takes_for_equal_are_told_apart() {
    let bench = Bench::any().await;
    let collation = "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    let icu = "SELECT count(*) FROM pg_collation WHERE collprovider = 'i'";
    if bench.target().psql(MENDED, icu) == "0" {
        trunkline_testkit::skipped("the server is built without ICU");
        return;
    }
    let tables = "CREATE TABLE t (c text COLLATE nocase); \
                  CREATE TABLE keyed (c text COLLATE nocase PRIMARY KEY, v int)";
    for (database, rows) in [
        (
            "source",
            "INSERT INTO t VALUES ('a'), ('B'); INSERT INTO keyed VALUES ('Key', 1), ('other', 2)",
        ),
        (MENDED, "INSERT INTO t VALUES ('A'), ('a'), ('b')"),
        (SCRIPTED, "INSERT INTO t VALUES ('A'), ('a'), ('b')"),
    ] {
        bench.target().psql(database, collation);
        bench.target().psql(database, tables);
        bench.target().psql(database, rows);
        if database != "source" {
            let other = "INSERT INTO keyed VALUES ('KEY', 1), ('other', 3)";
            bench.target().psql(database, other);
        }
    }
    bench.mend_both().await;
}

#[tokio::test]
async fn a_key_of_several_lines_stays_in_its_comment_and_its_literal() {
    let key = r"E'1\n; DROP TABLE public.t; --\r\\quit ''\\''\t:x :''x'' $1 %s'";
    let bench = Bench::set_up(
        "CREATE TABLE t (id text PRIMARY KEY, \"v\nw\" text)",
        &format!("INSERT INTO t VALUES ({key}, 'a'), ('2' || {key}, 'b')"),
        &format!("INSERT INTO t VALUES ({key}, 'x'), ('3' || {key}, {key})"),
    )
    .await;
    bench.mend_both().await;
}

#[tokio::test]
async fn a_value_that_the_target_s_column_has_no_room_for_is_refused_and_not_cut() {
    let bench = Bench::set_up(
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(9))",
        "INSERT INTO t VALUES (1, 'too long')",
        "ALTER TABLE t ALTER v TYPE varchar(3)",
    )
    .await;
    let differences = bench.differences(MENDED).await;
    let error = bench.repair(&differences).await.expect_err("no room");
    assert!(error.to_string().contains("22001"), "{error}");
    let (path, _) = bench.write(&differences).await;
    assert!(!bench.psql(&path).status.success());
}
