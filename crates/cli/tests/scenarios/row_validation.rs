//! Row validation while the source is busy: every fault that is planted on the target is named
//! with its row and its columns, nothing else is, and a repair makes both sides equal again.
//! `TRUNKLINE_FAULTS` says how many faults in all.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use trunkline_testkit::contents::fingerprint;
use trunkline_testkit::faults::{Fault, FaultKind, Planter, create_more, create_pgbench};
use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::{Scene, seed};

/// Where faults are planted.
const SCHEMAS: &[&str] = &["matrix", "Odd \"Schema\".x", "public"];
/// Those of them where nobody writes.
const COLD_SCHEMAS: &[&str] = &["matrix", "Odd \"Schema\".x"];
const ACCOUNTS: u32 = 20_000;
/// Accounts up to this one are written to all the time; faults are planted in others.
const HOT_ACCOUNTS: i32 = 1_000;
const FAULTS_IN_A_ROUND: usize = 100;
const FAULTS_BY_DEFAULT: usize = 300;

/// The contents of the tables in `public` where nobody writes.
const COLD_ROWS: &str = "
    SELECT md5(string_agg(row::text, ',' ORDER BY row::text COLLATE \"C\")) FROM (
        SELECT ROW(a.*) FROM public.pgbench_accounts AS a WHERE a.aid NOT BETWEEN 1 AND 1000
        UNION ALL SELECT ROW(n.id, n.note, n.big, n.plain::text, n.zoned) FROM public.nearly_equal AS n
    ) AS cold (row)";

fn rounds() -> usize {
    let given = std::env::var("TRUNKLINE_FAULTS").ok();
    let faults = given.and_then(|text| text.parse().ok());
    faults
        .unwrap_or(FAULTS_BY_DEFAULT)
        .div_ceil(FAULTS_IN_A_ROUND)
}

/// The transaction of pgbench on the hot rows, again and again until told to stop; how often.
async fn bank(scene: &Scene, seed: u64, stop: CancellationToken) -> u64 {
    let client = scene.on_source().await;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut transactions = 0;
    while !stop.is_cancelled() {
        let (account, teller) = (rng.i32(1..=HOT_ACCOUNTS), rng.i32(1..=10));
        let delta = rng.i32(-5_000..=5_000);
        let script = format!(
            "BEGIN;
             UPDATE public.pgbench_accounts SET abalance = abalance + {delta} WHERE aid = {account};
             UPDATE public.pgbench_tellers SET tbalance = tbalance + {delta} WHERE tid = {teller};
             UPDATE public.pgbench_branches SET bbalance = bbalance + {delta} WHERE bid = 1;
             INSERT INTO public.pgbench_history (tid, bid, aid, delta, mtime)
             VALUES ({teller}, 1, {account}, {delta}, clock_timestamp());
             COMMIT"
        );
        let taken = client.batch_execute(&script).await;
        taken.expect("the source takes it");
        transactions += 1;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    transactions
}

/// What must be known of a row that differs, in the order of a report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    table: (String, String),
    kind: String,
    key: Vec<(String, Option<String>)>,
    columns: Vec<String>,
    on_source: bool,
    /// Where it lies on the target; of a duplicated row any copy may be the one too many.
    target_ctid: Option<String>,
}

impl Named {
    fn of_fault(fault: &Fault) -> Self {
        let on_source = matches!(fault.kind, FaultKind::Missing | FaultKind::Different);
        let ctid = fault.target_ctid.clone();
        Named {
            table: fault.table.clone(),
            kind: fault.kind.name().to_owned(),
            key: sorted(fault.key.clone()),
            columns: sorted(fault.columns.clone()),
            on_source,
            target_ctid: ctid.filter(|_| fault.kind != FaultKind::Duplicated),
        }
    }

    fn of_report(row: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let must = |value: &Value| text(value).unwrap_or_else(|| panic!("no text in {row:#}"));
        let list = |key: &str| {
            row[key]
                .as_array()
                .unwrap_or_else(|| panic!("no {key}: {row:#}"))
        };
        let key = list("key").iter();
        let key = key.map(|pair| (must(&pair["column"]), text(&pair["value"])));
        let kind = must(&row["kind"]);
        let place = &row["target"];
        assert_eq!(place.is_null(), kind == "missing", "{row:#}");
        Named {
            table: (must(&row["table"]["schema"]), must(&row["table"]["name"])),
            key: sorted(key.collect()),
            columns: sorted(list("columns").iter().map(must).collect()),
            on_source: !row["source"].is_null(),
            target_ctid: text(&place["ctid"]).filter(|_| kind != "duplicated"),
            kind,
        }
    }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

/// Those of the one list that the other has not, each as often as it is too many.
fn beyond(one: &[Named], other: &[Named]) -> Vec<Named> {
    let mut other = other.to_vec();
    let is_beyond = |named: &&Named| {
        let found = other.iter().position(|known| known == *named);
        found.map(|at| other.swap_remove(at)).is_none()
    };
    one.iter().filter(is_beyond).cloned().collect()
}

fn tables_that_differ(report: &Value) -> BTreeSet<(String, String)> {
    let tables = report["differences"].as_array().expect("a list of tables");
    let part = |table: &Value, key: &str| {
        let name = table["table"][key].as_str();
        name.unwrap_or_else(|| panic!("no name: {table:#}"))
            .to_owned()
    };
    let name = |table| (part(table, "schema"), part(table, "name"));
    tables.iter().map(name).collect()
}

fn tables_of(faults: &[Fault]) -> BTreeSet<(String, String)> {
    faults.iter().map(|fault| fault.table.clone()).collect()
}

/// Faults that a report does not name, and rows that it names and nobody planted.
fn missed_and_invented(report: &Value, faults: &[Fault]) -> (Vec<Named>, Vec<Named>) {
    let rows = report["row_differences"].as_array();
    let rows = rows.unwrap_or_else(|| panic!("no row_differences: {report:#}"));
    let named: Vec<Named> = rows.iter().map(Named::of_report).collect();
    let expected: Vec<Named> = faults.iter().map(Named::of_fault).collect();
    (beyond(&expected, &named), beyond(&named, &expected))
}

#[track_caller]
fn assert_names_exactly(report: &Value, faults: &[Fault]) {
    let (missed, invented) = missed_and_invented(report, faults);
    let what = |named: &Named| {
        let fault = faults.iter().find(|fault| Named::of_fault(fault) == *named);
        fault.map(|fault| fault.what.clone())
    };
    let missed: Vec<_> = missed.iter().map(|named| (what(named), named)).collect();
    assert!(
        missed.is_empty() && invented.is_empty(),
        "of {} faults were not named: {missed:#?}\nand these were not planted: {invented:#?}",
        faults.len()
    );
}

/// Asserts that both sides hold the same where nobody writes.
async fn assert_cold_rows_are_the_same(scene: &Scene) {
    let source = fingerprint(&scene.on_source().await, COLD_SCHEMAS).await;
    let target = fingerprint(&scene.on_target().await, COLD_SCHEMAS).await;
    assert!(source.len() > 50);
    assert_eq!(source, target);
    assert_eq!(scene.source_says(COLD_ROWS), scene.target_says(COLD_ROWS));
}

/// One round: plants, finds all of it and nothing else, and mends it.
async fn plant_find_and_mend(scene: &Scene, planter: &mut Planter) {
    let target = scene.on_target().await;
    let faults = planter.plant(&target, SCHEMAS, FAULTS_IN_A_ROUND).await;
    assert_eq!(faults.len(), FAULTS_IN_A_ROUND);
    let ran = scene.trunkline(&["verify", "--json"]).await;
    let report = ran.expect_code(6).json();
    assert_eq!(report["equal"], false, "{report:#}");
    assert_eq!(tables_that_differ(&report), tables_of(&faults));
    assert_names_exactly(&report, &faults);

    let ran = scene.trunkline(&["verify", "--repair", "--json"]).await;
    let report = ran.expect_code(0).json();
    assert_eq!(report["equal"], true, "{report:#}");
    assert_cold_rows_are_the_same(scene).await;
}

async fn finds_and_mends(source: u32, target: u32) {
    let seed = seed();
    let scene = Scene::new(source, target).await.with_shop(1).await;
    let scene = scene.with_matrix().await;
    create_pgbench(&scene.on_source().await, ACCOUNTS).await;
    create_more(&scene.on_source().await).await;
    // What writers change differs for a moment whenever one looks.
    let mut planter = Planter::new(seed)
        .leaving_out("public", "pgbench_branches")
        .leaving_out("public", "pgbench_tellers")
        .leaving_out("public", "pgbench_history")
        .only_where(
            "public",
            "pgbench_accounts",
            &format!("t.aid > {HOT_ACCOUNTS}"),
        );
    let writers = scene.clients(seed);
    let stop = CancellationToken::new();
    let (transactions, follower) = tokio::join!(bank(&scene, seed, stop.clone()), async {
        let mut follower = scene.start(&["run"]);
        follower.must_say("== verified").await;
        for _ in 0..rounds() {
            let seen = writers.committed();
            plant_find_and_mend(&scene, &mut planter).await;
            assert!(writers.committed() > seen, "nobody wrote meanwhile");
            assert!(!follower.is_over(), "{}", follower.so_far());
        }
        stop.cancel();
        follower
    });
    assert!(transactions > 0);
    writers.stop().await;
    follower.signal("INT").await;
    follower.ended().await.expect_code(130);
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_fault_is_named_and_mended() {
    skip_unless_available!(any_major());
    finds_and_mends(any_major(), any_major()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_fault_is_named_and_mended_from_13_to_17() {
    skip_unless_available!(13, 17);
    finds_and_mends(13, 17).await;
}

#[test]
fn a_report_that_names_another_column_or_one_row_less_does_not_pass() {
    let fault = |kind, columns: &[&str], ctid: Option<&str>| Fault {
        table: ("s".to_owned(), "t".to_owned()),
        kind,
        key: vec![
            ("id".to_owned(), Some("1".to_owned())),
            ("m".to_owned(), None),
        ],
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        what: String::new(),
        target_ctid: ctid.map(str::to_owned),
    };
    let changed = fault(FaultKind::Different, &["a", "b"], Some("(0,1)"));
    let missing = fault(FaultKind::Missing, &[], None);
    let row = |kind: &str, columns: &[&str], target: Value| {
        serde_json::json!({
            "table": {"schema": "s", "name": "t"},
            "kind": kind,
            "key": [{"column": "m", "value": null}, {"column": "id", "value": "1"}],
            "columns": columns,
            "source": {"relation": "s.t", "ctid": "(7,7)"},
            "target": target,
        })
    };
    let target = serde_json::json!({"relation": "s.t", "ctid": "(0,1)"});
    let gone = row("missing", &[], Value::Null);
    let found = row("different", &["b", "a"], target.clone());
    let report = serde_json::json!({"row_differences": [gone, found]});
    let faults = [changed, missing];
    assert_eq!(missed_and_invented(&report, &faults), (vec![], vec![]));
    let other = row("different", &["a"], target);
    let report = serde_json::json!({"row_differences": [gone, other]});
    let (missed, invented) = missed_and_invented(&report, &faults);
    assert_eq!((missed.len(), invented.len()), (1, 1));
    let report = serde_json::json!({"row_differences": [gone, gone]});
    let (missed, invented) = missed_and_invented(&report, &faults);
    assert_eq!((missed.len(), invented.len()), (1, 1));
}
