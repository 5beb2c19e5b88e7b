//! What is not as it was seen is not touched.

use trunkline_changes::{Side, TableName};
use trunkline_verify::{RepairError, RowDifference};

use crate::bench::{Bench, MENDED, SCRIPTED, repair_between};

async fn bench() -> Bench {
    Bench::set_up(
        "CREATE TABLE t (id int PRIMARY KEY, v text, w text)",
        "INSERT INTO t VALUES (1, 'a', 'w'), (2, 'b', 'w'), (3, 'c', 'w')",
        "INSERT INTO t VALUES (1, 'x', 'w'), (2, 'y', 'w'), (4, 'z', 'w')",
    )
    .await
}

const ROWS: &str = "SELECT * FROM t ORDER BY id";

#[tokio::test]
async fn a_row_that_moved_on_the_target_stops_the_batch() {
    let bench = bench().await;
    let differences = bench.differences(MENDED).await;
    let target = bench.target();
    target.psql(MENDED, "UPDATE t SET v = 'newer' WHERE id = 2");
    let before = target.psql(MENDED, ROWS);
    let error = bench.repair(&differences).await.expect_err("it moved");
    let side = Side::Target;
    assert!(
        matches!(&error, RepairError::Gone { side: s, .. } if *s == side),
        "{error}"
    );
    assert!(
        error.to_string().contains("public.t where id = 2"),
        "{error}"
    );
    assert_eq!(target.psql(MENDED, ROWS), before);
}

#[tokio::test]
async fn another_row_at_the_same_place_is_not_touched() {
    let bench = bench().await;
    let mut differences = bench.differences(MENDED).await;
    let place = differences[1].target.clone();
    differences[0].target = place;
    differences.truncate(1);
    let before = bench.target().psql(MENDED, ROWS);
    let error = bench.repair(&differences).await.expect_err("another row");
    assert!(
        matches!(
            error,
            RepairError::Gone {
                side: Side::Target,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(bench.target().psql(MENDED, ROWS), before);
}

#[tokio::test]
async fn a_row_that_is_not_on_the_source_stops_the_batch() {
    let bench = bench().await;
    let mut differences = bench.differences(MENDED).await;
    let missing = differences.iter_mut().find(|d| d.target.is_none());
    let place = missing
        .and_then(|d| d.source.as_mut())
        .expect("a missing row");
    place.ctid = "(0,77)".to_owned();
    let before = bench.target().psql(MENDED, ROWS);
    let error = bench.repair(&differences).await.expect_err("no such row");
    assert!(
        matches!(
            error,
            RepairError::Gone {
                side: Side::Source,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(bench.target().psql(MENDED, ROWS), before);
}

#[tokio::test]
async fn a_source_that_fails_while_a_row_is_read_leaves_the_target_as_it_was() {
    let bench = Bench::set_up(
        "CREATE TABLE t (id int PRIMARY KEY, raw bytea)",
        "INSERT INTO t VALUES (1, decode(repeat('ab', 30000000), 'hex'))",
        "INSERT INTO t VALUES (1, ''), (2, '')",
    )
    .await;
    let differences = bench.differences(MENDED).await;
    let mut source = bench.source().await;
    let mut target = bench.target_session(MENDED).await;
    let limit = "SET statement_timeout = '30ms'";
    source.batch(limit).await.expect("a limit");
    let before = bench.target().psql(MENDED, "SELECT * FROM t");
    let outcome = repair_between(&mut source, &mut target, &differences).await;
    assert!(
        matches!(&outcome, Err(RepairError::Fault(fault)) if fault.side == Side::Source),
        "{outcome:?}"
    );
    assert_eq!(bench.target().psql(MENDED, "SELECT * FROM t"), before);
}

#[tokio::test]
async fn a_script_that_runs_later_does_not_overwrite_what_is_newer() {
    for newer in [
        "UPDATE t SET v = 'newer' WHERE id = 2",
        "UPDATE t SET w = 'newer' WHERE id = 4",
        "INSERT INTO t VALUES (3, 'newer', 'w')",
        "DELETE FROM t WHERE id = 1",
    ] {
        let bench = bench().await;
        let (path, rows) = bench.write(&bench.differences(SCRIPTED).await).await;
        assert_eq!(rows, 4);
        bench.target().psql(SCRIPTED, newer);
        let before = bench.target().psql(SCRIPTED, ROWS);
        let output = bench.psql(&path);
        assert_eq!(output.status.code(), Some(3), "{newer}");
        assert_eq!(bench.target().psql(SCRIPTED, ROWS), before, "{newer}");
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = "0 rows are as they were seen, not one";
        assert!(
            said.contains(expected) || newer.starts_with("INSERT"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_script_mends_rows_that_were_rewritten_as_they_were() {
    let bench = bench().await;
    let (path, _) = bench.write(&bench.differences(SCRIPTED).await).await;
    bench.target().psql(SCRIPTED, "UPDATE t SET v = v");
    bench.target().psql(SCRIPTED, "VACUUM FULL t");
    assert!(bench.psql(&path).status.success());
    bench
        .repair(&bench.differences(MENDED).await)
        .await
        .expect("mended");
    bench.assert_same().await;
}

#[tokio::test]
async fn a_script_can_be_read() {
    let bench = bench().await;
    let (path, _) = bench.write(&bench.differences(SCRIPTED).await).await;
    let text = std::fs::read_to_string(path).expect("a script");
    let expected = "-- different public.t where id = 1\n\
        WITH touched AS (\n\
        UPDATE ONLY \"public\".\"t\" AS t\n   SET \"v\" = 'a'::text\n \
        WHERE t.\"id\" = '1'::integer\n   AND t.\"v\"::text = 'x'\n\
        RETURNING 1)\n";
    assert!(text.contains(expected), "{text}");
    assert!(
        text.starts_with("-- Compared at 0/1\n-- by a test\\rDROP\n"),
        "{text}"
    );
}

#[tokio::test]
async fn differences_that_do_not_fit_the_tables_are_refused_before_anything_is_done() {
    let bench = bench().await;
    let differences = bench.differences(MENDED).await;
    let before = bench.target().psql(MENDED, ROWS);
    let spoilt: [fn(&mut RowDifference); 5] = [
        |d| d.table = TableName::new("public", "nowhere"),
        |d| d.target = None,
        |d| d.source.as_mut().expect("a place").ctid = "(0,1)'::tid".to_owned(),
        |d| d.columns = vec!["nothing".to_owned()],
        |d| d.columns.clear(),
    ];
    for spoil in spoilt {
        let mut differences = differences.clone();
        spoil(&mut differences[0]);
        let error = bench.repair(&differences).await.expect_err("spoilt");
        assert!(matches!(error, RepairError::Invalid { .. }), "{error}");
    }
    assert_eq!(bench.target().psql(MENDED, ROWS), before);
}

#[tokio::test]
async fn a_rule_that_answers_in_place_of_the_mending_is_named() {
    let bench = bench().await;
    let differences = bench.differences(MENDED).await;
    let target = bench.target();
    target.psql(
        MENDED,
        "CREATE RULE keep AS ON UPDATE TO t DO INSTEAD NOTHING;
         ALTER TABLE t ENABLE ALWAYS RULE keep",
    );
    let before = target.psql(MENDED, ROWS);
    let error = bench
        .repair(&differences)
        .await
        .expect_err("it is answered");
    let RepairError::Ruled { table, rules, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(table, &TableName::new("public", "t"));
    assert_eq!(rules, &["keep"]);
    assert_eq!(target.psql(MENDED, ROWS), before);
}
