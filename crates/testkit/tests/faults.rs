//! Planted faults are exactly what they say: compared by plain SQL, those rows differ in those
//! columns, and no others. `TRUNKLINE_FAULTS` says how many are planted.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::process::Command;

use tokio_postgres::{Client, SimpleQueryMessage};
use trunkline_testkit::faults::{Fault, FaultKind, Planter, SUBTLE, create_more, create_pgbench};
use trunkline_testkit::sandbox::program;
use trunkline_testkit::types::TypeMatrix;
use trunkline_testkit::{Cluster, any_major, skip_unless_available};

const SCHEMAS: &[&str] = &["matrix", "Odd \"Schema\".x", "public"];
const ACCOUNTS: u32 = 2_000;
const IN_A_ROUND: usize = 100;

/// How values look; the same as when they were planted.
const PIN: &str = "SET search_path = ''; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; \
    SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'; SET extra_float_digits = 3; \
    SET lc_monetary = 'C'";

type Value = Option<String>;
type Name = (String, String);

/// A table with its columns, and all its rows with their places.
struct Contents {
    columns: Vec<String>,
    rows: BTreeMap<String, Vec<Value>>,
}

/// What differs, without what cannot be seen from outside.
type Found = (Name, FaultKind, Vec<(String, Value)>, Vec<String>);

fn faults_in_all() -> usize {
    let given = env::var("TRUNKLINE_FAULTS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(300)
}

fn seed() -> u64 {
    let given = env::var("TRUNKLINE_SEED").ok();
    let given = given.and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| fastrand::u64(..))
}

async fn fill(client: &Client, major: u32) {
    TypeMatrix::for_major(major).create_in(client).await;
    create_pgbench(client, ACCOUNTS).await;
    create_more(client).await;
}

async fn ask(client: &Client, query: &str) -> Vec<Vec<Value>> {
    let messages = client.simple_query(query).await;
    let messages = messages.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => {
            let value = |at| row.get(at).map(str::to_owned);
            Some((0..row.len()).map(value).collect())
        }
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

async fn contents(client: &Client) -> BTreeMap<Name, Contents> {
    client.batch_execute(PIN).await.expect("settings");
    let tables = "SELECT n.nspname, c.relname, format('%I.%I', n.nspname, c.relname), \
        a.attname, quote_ident(a.attname) \
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
        LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
        WHERE c.relkind = 'r' AND n.nspname IN ('matrix', 'Odd \"Schema\".x', 'public') \
        ORDER BY 1, 2, a.attname COLLATE \"C\"";
    let mut found: BTreeMap<(Name, String), Vec<(String, String)>> = BTreeMap::new();
    for row in ask(client, tables).await {
        let mut row = row.into_iter();
        let mut next = || row.next().flatten();
        let (Some(schema), Some(name), Some(table)) = (next(), next(), next()) else {
            panic!("a table has a name");
        };
        let columns = found.entry(((schema, name), table)).or_default();
        columns.extend(next().zip(next()));
    }
    let mut all = BTreeMap::new();
    for ((name, table), columns) in found {
        let list = columns.iter().map(|(_, quoted)| format!(", t.{quoted}"));
        let list: String = list.collect();
        let query = format!("SELECT t.ctid{list} FROM ONLY {table} AS t");
        let rows = ask(client, &query).await.into_iter().map(|mut row| {
            let place = row.remove(0).expect("a row has a place");
            (place, row)
        });
        let contents = Contents {
            columns: columns.into_iter().map(|(name, _)| name).collect(),
            rows: rows.collect(),
        };
        all.insert(name, contents);
    }
    all
}

/// Compares a table by the columns that its faults name as its key.
fn by_key(name: &Name, key: &[String], source: &Contents, target: &Contents) -> Vec<Found> {
    let places: Vec<usize> = key.iter().map(|wanted| place(source, wanted)).collect();
    let keyed = |contents: &Contents| -> BTreeMap<Vec<(String, Value)>, Vec<Value>> {
        let rows = contents.rows.values().map(|row| {
            let values = places.iter().map(|&at| row[at].clone());
            (key.iter().cloned().zip(values).collect(), row.clone())
        });
        rows.collect()
    };
    let (on_source, on_target) = (keyed(source), keyed(target));
    assert_eq!(
        on_source.len(),
        source.rows.len(),
        "{key:?} is a key of {name:?}"
    );
    assert_eq!(
        on_target.len(),
        target.rows.len(),
        "{key:?} is a key of {name:?}"
    );
    let keys: BTreeSet<_> = on_source.keys().chain(on_target.keys()).collect();
    let mut found = Vec::new();
    for key in keys {
        let (kind, columns) = match (on_source.get(key), on_target.get(key)) {
            (Some(_), None) => (FaultKind::Missing, Vec::new()),
            (None, _) => (FaultKind::Extra, Vec::new()),
            (Some(one), Some(other)) => (FaultKind::Different, differing(source, one, other)),
        };
        if kind != FaultKind::Different || !columns.is_empty() {
            found.push((name.clone(), kind, key.clone(), columns));
        }
    }
    found
}

fn place(contents: &Contents, column: &str) -> usize {
    let found = contents.columns.iter().position(|name| name == column);
    found.unwrap_or_else(|| panic!("no column {column}"))
}

fn differing(table: &Contents, one: &[Value], other: &[Value]) -> Vec<String> {
    let columns = table.columns.iter().zip(one.iter().zip(other));
    let columns = columns.filter(|(_, (one, other))| one != other);
    columns.map(|(name, _)| name.clone()).collect()
}

/// How often each row occurs, less how often it does on the other side.
fn surplus(here: &Contents, there: &Contents) -> BTreeMap<Vec<Value>, i64> {
    let mut counts: BTreeMap<Vec<Value>, i64> = BTreeMap::new();
    for row in here.rows.values() {
        *counts.entry(row.clone()).or_default() += 1;
    }
    for row in there.rows.values() {
        if let Some(count) = counts.get_mut(row) {
            *count -= 1;
        }
    }
    counts.retain(|_, count| *count > 0);
    counts
}

/// Asserts that the rows of a table without a key differ as its faults say.
fn assert_without_key(name: &Name, faults: &[&Fault], source: &Contents, target: &Contents) {
    let mut missing = surplus(source, target);
    let mut too_many = surplus(target, source);
    let mut faults = faults.to_vec();
    // Any row that is left may be the one that is missing.
    faults.sort_by_key(|fault| fault.kind == FaultKind::Missing);
    for fault in &faults {
        assert!(fault.key.is_empty(), "{fault:?}");
        let row = fault.target_ctid.as_ref().map(|ctid| &target.rows[ctid]);
        if let Some(row) = row {
            let count = too_many.get_mut(row);
            *count.unwrap_or_else(|| panic!("not too many: {fault:?} {row:?}")) -= 1;
        }
        let known = row.is_some_and(|row| source.rows.values().any(|other| other == row));
        let gone = match fault.kind {
            FaultKind::Extra | FaultKind::Duplicated => {
                assert_eq!(known, fault.kind == FaultKind::Duplicated, "{fault:?}");
                continue;
            }
            FaultKind::Missing => missing.iter_mut().find(|(_, count)| **count > 0),
            FaultKind::Different => missing.iter_mut().find(|(was, count)| {
                **count > 0 && row.is_some_and(|row| differing(source, was, row) == fault.columns)
            }),
        };
        *gone.unwrap_or_else(|| panic!("not missing: {fault:?}")).1 -= 1;
    }
    let left = missing.values().chain(too_many.values()).sum::<i64>();
    assert_eq!(
        left, 0,
        "{name:?} differs in more than {faults:#?}: {missing:?} {too_many:?}"
    );
}

/// Asserts that two databases differ as the faults say, and in nothing else.
async fn assert_exactly(source: &Client, target: &Client, faults: &[Fault]) {
    let (source, target) = (contents(source).await, contents(target).await);
    assert!(source.len() > 50);
    assert!(source.keys().eq(target.keys()));
    for (name, on_source) in &source {
        let on_target = &target[name];
        let of_table: Vec<&Fault> = faults.iter().filter(|fault| fault.table == *name).collect();
        let key = of_table
            .iter()
            .map(|fault| &fault.key)
            .find(|key| !key.is_empty());
        let Some(key) = key else {
            assert_without_key(name, &of_table, on_source, on_target);
            continue;
        };
        let key: Vec<String> = key.iter().map(|(column, _)| column.clone()).collect();
        let mut found = by_key(name, &key, on_source, on_target);
        let expected = of_table.iter().map(|fault| {
            let (key, columns) = (fault.key.clone(), fault.columns.clone());
            (fault.table.clone(), fault.kind, key, columns)
        });
        let mut expected: Vec<Found> = expected.collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{of_table:#?}");
        let lies = of_table
            .iter()
            .filter_map(|fault| fault.target_ctid.as_ref());
        assert!(
            lies.into_iter()
                .all(|ctid| on_target.rows.contains_key(ctid))
        );
    }
}

fn without_places(faults: &[Fault]) -> Vec<Fault> {
    let mut faults = faults.to_vec();
    for fault in &mut faults {
        fault.target_ctid = None;
    }
    faults
}

/// Says how often each kind of change was planted.
fn print_kinds(faults: &[Fault]) -> BTreeMap<&str, usize> {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in faults {
        let exchanged = fault.what.ends_with("exchanged") && fault.what.contains("two rows");
        let what = if exchanged {
            "a swap"
        } else {
            fault.what.as_str()
        };
        *kinds.entry(what).or_default() += 1;
    }
    eprintln!("{} faults: {kinds:#?}", faults.len());
    kinds
}

#[tokio::test]
async fn exactly_what_was_planted_differs() {
    let major = any_major();
    skip_unless_available!(major);
    let cluster = Cluster::start(major);
    for name in ["source", "model"] {
        cluster.create_database(name).await;
    }
    let source = cluster.client("source").await;
    fill(&source, major).await;
    fill(&cluster.client("model").await, major).await;
    let admin = cluster.client("postgres").await;
    let seed = seed();
    let (mut one, mut other) = (Planter::new(seed), Planter::new(seed));
    let mut all = Vec::new();
    for round in 1..=faults_in_all().div_ceil(IN_A_ROUND) {
        let mut planted = Vec::new();
        for (planter, database) in [(&mut one, "one"), (&mut other, "other")] {
            let script = format!("CREATE DATABASE {database} TEMPLATE model");
            admin.batch_execute(&script).await.expect("a target");
            let target = cluster.client(database).await;
            let faults = planter.plant(&target, SCHEMAS, IN_A_ROUND).await;
            assert_eq!(faults.len(), IN_A_ROUND, "round {round}");
            assert_exactly(&source, &target, &faults).await;
            planted.push(faults);
            let script = format!("DROP DATABASE {database}");
            drop(target);
            trunkline_testkit::until(std::time::Duration::from_secs(20), async || {
                admin.batch_execute(&script).await.is_ok()
            })
            .await;
        }
        assert_eq!(without_places(&planted[0]), without_places(&planted[1]));
        all.append(&mut planted[0]);
    }
    let kinds = print_kinds(&all);
    assert!(kinds.len() > 40, "many kinds of faults: {}", kinds.len());
    if all.len() >= 2_000 {
        let seen = |what: &&&str| !kinds.contains_key(**what);
        let unseen: Vec<_> = SUBTLE.iter().filter(seen).collect();
        assert!(unseen.is_empty(), "never planted: {unseen:?}");
        let never = never_changed(&source, &all).await;
        assert!(never.is_empty(), "columns that had no turn: {never:#?}");
    }
}

/// Columns that have a row to be changed in, and were not; of the widest table, types.
async fn never_changed(source: &Client, faults: &[Fault]) -> BTreeSet<String> {
    let columns = "SELECT n.nspname, c.relname, a.attname, \
        CASE WHEN c.relnatts < 100 THEN a.attname ELSE format_type(a.atttypid, NULL) END \
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
        WHERE c.relkind = 'r' AND n.nspname IN ('matrix', 'Odd \"Schema\".x', 'public') \
        AND a.attgenerated = '' AND a.attidentity <> 'a' AND c.relname <> 'keyless_empty'";
    let (mut all, mut changed) = (BTreeSet::new(), BTreeSet::new());
    for row in ask(source, columns).await {
        let text = |at: usize| row[at].clone().expect("a name");
        let (name, column) = ((text(0), text(1)), text(2));
        let of_table = || faults.iter().filter(|fault| fault.table == name);
        if of_table().any(|fault| fault.key.iter().any(|(key, _)| *key == column)) {
            continue;
        }
        let label = format!("{}.{}.{}", name.0, name.1, text(3));
        if of_table().any(|fault| fault.columns.contains(&column)) {
            changed.insert(label.clone());
        }
        all.insert(label);
    }
    all.difference(&changed).cloned().collect()
}

#[tokio::test]
async fn faults_in_a_restored_dump_are_exact_too() {
    skip_unless_available!(13, 17, 18);
    let (source, target) = (Cluster::start(13), Cluster::start(17));
    let client = source.client("postgres").await;
    fill(&client, 13).await;
    let shell = format!(
        "{} -d {} | {} -X -q -v ON_ERROR_STOP=1 -d {} -o /dev/null",
        program(18, "pg_dump").expect("it is there").display(),
        source.uri("postgres"),
        program(18, "psql").expect("it is there").display(),
        target.uri("postgres"),
    );
    let output = Command::new("sh").args(["-c", &shell]).output();
    let output = output.expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let on_target = target.client("postgres").await;
    let mut planter = Planter::new(seed());
    let faults = planter.plant(&on_target, SCHEMAS, 300).await;
    assert_eq!(faults.len(), 300);
    assert_exactly(&client, &on_target, &faults).await;
    print_kinds(&faults);
}

#[tokio::test]
async fn nothing_is_planted_where_it_is_not_wanted() {
    let major = any_major();
    skip_unless_available!(major);
    let cluster = Cluster::start(major);
    let client = cluster.client("postgres").await;
    create_pgbench(&client, ACCOUNTS).await;
    let mut planter = Planter::new(seed())
        .leaving_out("public", "pgbench_history")
        .leaving_out("public", "pgbench_tellers")
        .leaving_out("public", "pgbench_branches")
        .only_where("public", "pgbench_accounts", "t.aid > 1000");
    let faults = planter.plant(&client, &["public"], 200).await;
    for fault in faults {
        assert_eq!(fault.table.1, "pgbench_accounts");
        let aid = fault.key[0]
            .1
            .as_deref()
            .and_then(|aid| aid.parse::<i64>().ok());
        let is_cold = aid.is_some_and(|aid| !(1..=1000).contains(&aid));
        assert!(is_cold || fault.kind == FaultKind::Extra, "{fault:?}");
    }
}
