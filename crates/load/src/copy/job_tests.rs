//! What is copied where, from the catalogs of both sides.

use super::*;
use crate::catalog::TableColumn;
use crate::format::ColumnType;
use crate::transform::{Naming, TableRules, Transform};

fn table(name: &str, columns: &[&str]) -> Table {
    let mut table = Table::bare(TableName::new("public", name));
    Arc::make_mut(&mut table.shape).columns = columns
        .iter()
        .map(|column| TableColumn {
            name: (*column).into(),
            column_type: Arc::new(ColumnType {
                schema: "pg_catalog".into(),
                name: "int4".into(),
                base: "pg_catalog.int4".into(),
                portable_binary: true,
            }),
            generated: column.starts_with("gen"),
            identity: None,
            not_null: false,
        })
        .collect();
    table
}

fn prepared(source: &[Table], target: &[Table]) -> Result<Vec<CopyJob>, LoadError> {
    laid_out(source, target, &Layout::default())
}

fn laid_out(
    source: &[Table],
    target: &[Table],
    layout: &Layout,
) -> Result<Vec<CopyJob>, LoadError> {
    let by = Preparation {
        source,
        target,
        layout,
        sizes: SplitSizes::default(),
        page_ranges: true,
        unlogged: true,
    };
    jobs(&by, Ledger::new())
}

#[test]
fn columns_go_by_name_and_generated_ones_stay_out() {
    let source = [table("t", &["b", "gen", "a \"x\""])];
    let target = [table("t", &["a \"x\"", "gen", "b", "extra"])];
    let jobs = prepared(&source, &target).expect("jobs");
    assert_eq!(
        jobs[0].out_sql(&Cut::Whole, Bounds::default()),
        "COPY \"public\".\"t\" (\"b\", \"a \"\"x\"\"\") TO STDOUT (FORMAT binary)"
    );
    assert_eq!(
        jobs[0].in_sql(false),
        "COPY \"public\".\"t\" (\"b\", \"a \"\"x\"\"\") FROM STDIN (FORMAT binary)"
    );
    let pages = Bounds {
        low: Some(10),
        high: Some(20),
    };
    assert_eq!(
        jobs[0].out_sql(&Cut::Pages, pages),
        "COPY (SELECT \"b\", \"a \"\"x\"\"\" FROM ONLY \"public\".\"t\" WHERE ctid >= '(10,0)'::pg_catalog.tid \
         AND ctid < '(20,0)'::pg_catalog.tid) TO STDOUT (FORMAT binary)"
    );
}

#[test]
fn a_transformed_table_goes_to_its_place_without_what_stays_behind() {
    let mut transform = Transform::none();
    let rules = TableRules {
        to: Some(TableName::new("app", "u")),
        leave_out: vec!["secret".to_owned()],
        rename_columns: [("a".to_owned(), "b".to_owned())].into(),
        condition: Some("id < 9 OR id > 99".to_owned()),
    };
    transform.add_table(&TableName::new("public", "t"), rules);
    let source = [table("t", &["id", "a", "secret"])];
    transform.refuse_unfit(&source).expect("it fits");
    let layout = Layout::new(&transform, &source, Naming::Final);
    let mut target = [table("u", &["b", "id"])];
    target[0].name.schema = "app".into();
    let jobs = laid_out(&source, &target, &layout).expect("jobs");
    assert_eq!(
        jobs[0].out_sql(&Cut::Whole, Bounds::default()),
        "COPY (SELECT \"id\", \"a\" FROM ONLY \"public\".\"t\" WHERE (id < 9 OR id > 99)) \
         TO STDOUT (FORMAT binary)"
    );
    let keys = Bounds {
        low: Some(5),
        high: None,
    };
    let ranged = jobs[0].out_sql(&Cut::Key("id".to_owned()), keys);
    assert!(
        ranged.contains("WHERE \"id\" >= '5'::pg_catalog.int8 AND (id < 9 OR id > 99)"),
        "{ranged}"
    );
    assert_eq!(
        jobs[0].in_sql(false),
        "COPY \"app\".\"u\" (\"id\", \"b\") FROM STDIN (FORMAT binary)"
    );
}

#[test]
fn a_missing_table_or_column_is_refused_before_anything_is_copied() {
    let source = [table("t", &["a"])];
    assert!(matches!(
        prepared(&source, &[]),
        Err(LoadError::MissingTable { .. })
    ));
    let target = [table("t", &["b"])];
    assert!(matches!(
        prepared(&source, &target),
        Err(LoadError::MissingColumn { .. })
    ));
    let generated_there = [{
        let mut t = table("t", &["a"]);
        let mut column = t.shape.columns[0].clone();
        column.generated = true;
        Arc::make_mut(&mut t.shape).columns = [column].into();
        t
    }];
    assert!(matches!(
        prepared(&source, &generated_there),
        Err(LoadError::MissingColumn { .. })
    ));
}

#[test]
fn leaves_that_share_a_place_never_empty_it() {
    let mut leaves = [table("p", &["a"]), table("p1", &["a"]), table("p2", &["a"])];
    leaves[0].kind = TableKind::Partitioned;
    for leaf in &mut leaves[1..] {
        let origin = Arc::make_mut(&mut leaf.origin);
        origin.partition_of = Some(TableName::new("public", "p").into());
    }
    let jobs = prepared(&leaves, &[table("p", &["a"])]).expect("jobs");
    assert_eq!(jobs.len(), 2);
    assert!(
        jobs.iter()
            .all(|job| !job.alone && job.target().name == "p")
    );
}
