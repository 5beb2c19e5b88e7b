//! Every type, name, key and partition, in every kind of difference, between versions.

use trunkline_testkit::skip_unless_available;
use trunkline_testkit::types::TypeMatrix;
use trunkline_verify::{DifferenceKind, RowDifference};

use crate::bench::{Bench, MENDED, SCRIPTED, SOURCE};

/// Rows without a key, of types without equality among them.
const COPIES: &str = "INSERT INTO matrix.keyless VALUES (7, 'twice'), (NULL, NULL); \
    INSERT INTO matrix.no_columns DEFAULT VALUES; \
    INSERT INTO matrix.identity_full_json VALUES ('{\"b\":  1}', '<b/>', '(NaN,-0)', 5); \
    INSERT INTO matrix.identity_full VALUES (1, 'y', 1.00, '-0', '')";

/// Sets what can be NULL and is in no index to NULL, in all tables.
const EMPTY: &str = "DO $$ DECLARE t record; BEGIN \
    SET LOCAL session_replication_role = replica; \
    FOR t IN SELECT a.attrelid::regclass AS name, string_agg(format('%I = NULL', a.attname), ', ') AS sets \
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type y ON y.oid = a.atttypid \
        WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)' \
          AND a.attnum > 0 AND NOT a.attisdropped AND NOT a.attnotnull AND NOT y.typnotnull \
          AND a.attgenerated = '' AND c.relname <> 'unique_keys' \
          AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND a.attnum = ANY (i.indkey)) \
        GROUP BY 1 LOOP \
    EXECUTE format('UPDATE ONLY %s SET %s', t.name, t.sets); END LOOP; END $$";

async fn the_matrix_mends(source_major: u32, target_major: u32) {
    let bench = Bench::between(source_major, target_major).await;
    let matrix = TypeMatrix::for_major(source_major.min(target_major));
    let source = bench.on_source.client(SOURCE).await;
    matrix.create_in(&source).await;
    for round in [1, 2] {
        matrix.mutate_in(&source, round).await;
    }
    source.batch_execute(COPIES).await.expect(COPIES);
    for database in [MENDED, SCRIPTED] {
        let target = bench.target().client(database).await;
        matrix.create_in(&target).await;
        // Rows of its own, and none of what the source did since.
        matrix.mutate_in(&target, 3).await;
        for _ in 0..3 {
            target.batch_execute(COPIES).await.expect(COPIES);
        }
    }
    let differences = bench.differences(MENDED).await;
    for kind in [
        DifferenceKind::Missing,
        DifferenceKind::Extra,
        DifferenceKind::Different,
        DifferenceKind::Duplicated,
    ] {
        let count = differences.iter().filter(|d| d.kind == kind).count();
        eprintln!("{}: {count}", kind.name());
        assert!(count > 0, "{}", kind.name());
    }
    let repaired = bench.mend_both().await;
    assert_eq!(repaired.left, 0);
    assert_eq!(bench.differences(MENDED).await, []);
}

#[tokio::test]
async fn values_of_every_type_come_back_by_updates() {
    let bench = Bench::any().await;
    let matrix = TypeMatrix::for_major(bench.on_source.major());
    let source = bench.on_source.client(SOURCE).await;
    matrix.create_in(&source).await;
    for database in [MENDED, SCRIPTED] {
        let target = bench.target().client(database).await;
        matrix.create_in(&target).await;
        target.batch_execute(EMPTY).await.expect(EMPTY);
    }
    let differences = bench.differences(MENDED).await;
    let different = |d: &&RowDifference| d.kind == DifferenceKind::Different;
    let count = differences.iter().filter(different).count();
    assert!(count > 200, "{count}");
    bench.mend_both().await;
    assert_eq!(bench.differences(SCRIPTED).await, []);
}

macro_rules! the_matrix_mends {
    ($($name:ident $source:literal $target:literal)+) => {$(
        #[tokio::test]
        async fn $name() {
            skip_unless_available!($source, $target);
            the_matrix_mends($source, $target).await;
        }
    )+};
}

the_matrix_mends! {
    the_matrix_mends_from_12_in_18 12 18
    the_matrix_mends_from_13_in_15 13 15
    the_matrix_mends_from_14_in_17 14 17
    the_matrix_mends_in_15 15 15
    the_matrix_mends_from_16_in_18 16 18
    the_matrix_mends_in_18 18 18
    the_matrix_mends_from_18_back_in_12 18 12
}
