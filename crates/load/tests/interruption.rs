//! A load that is stopped anywhere and run again ends as if it had never been stopped.

mod database;

use std::time::Duration;

use database::{Databases, ask, load_with};
use tokio_util::sync::CancellationToken;
use trunkline_load::{LoadError, LoadOptions, SplitSizes};
use trunkline_testkit::{FaultyProxy, connect, skip_unless_available, types::TypeMatrix, until};

const PATIENCE: Duration = Duration::from_mins(1);

/// Small enough that tables are cut in every way.
fn options() -> LoadOptions {
    LoadOptions {
        split: SplitSizes {
            cut_bytes: 64 << 10,
            chunk_bytes: 64 << 10,
            key_split_bytes: 256 << 10,
            key_range_bytes: 64 << 10,
        },
        jobs: 3,
        ..LoadOptions::default()
    }
}

const TABLES: &str = "\
    CREATE TABLE numbered (id int PRIMARY KEY, body text); \
    INSERT INTO numbered SELECT n, repeat('x', 300) FROM generate_series(1, 3000) n; \
    CREATE TABLE keyless (a int, body text); \
    INSERT INTO keyless SELECT n, repeat('y', 300) FROM generate_series(1, 3000) n; \
    CREATE INDEX keyless_a ON keyless (a); CREATE INDEX keyless_body ON keyless (body); \
    CREATE TABLE refers (id int PRIMARY KEY REFERENCES numbered); \
    INSERT INTO refers SELECT n FROM generate_series(1, 1000) n; \
    DO $$ BEGIN FOR n IN 1 .. 150 LOOP \
      EXECUTE format('CREATE TABLE small_%s (id int PRIMARY KEY, body text UNIQUE)', n); \
      EXECUTE format('INSERT INTO small_%s SELECT m, m FROM generate_series(1, %s) m', n, n % 50); \
    END LOOP; END $$; \
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM keyless; \
    ANALYZE";

#[tokio::test]
async fn stopped_at_any_moment_it_goes_on_where_it_was() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    TypeMatrix::for_major(15)
        .create_in(&connect(&databases.source).await)
        .await;
    databases.on_source(TABLES).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut stopped = 0;
    loop {
        let cancel = CancellationToken::new();
        let loader = databases.cancellable_loader(options(), cancel.clone());
        let budget = Duration::from_millis(random.u64(100..1500) + 100 * stopped);
        let load = load_with(&loader, &databases);
        let stop = async {
            tokio::time::sleep(budget).await;
            cancel.cancel();
        };
        let (ended, ()) = tokio::join!(load, stop);
        match ended {
            Ok(_) => break,
            Err(LoadError::Cancelled) => stopped += 1,
            Err(error) => panic!("after {stopped} stops: {error}"),
        }
        assert!(stopped < 60, "it never ends");
    }
    println!("stopped {stopped} times");
    databases.assert_same_contents().await;
    let unfinished = "SELECT count(*)::text FROM trunkline.copy_parts WHERE state <> 'copied'";
    assert_eq!(databases.ask_target(unfinished).await, "0");
    let invalid =
        "SELECT count(*)::text FROM pg_constraint WHERE NOT convalidated AND contype = 'f'";
    assert_eq!(
        databases.ask_target(invalid).await,
        ask(&databases.source, invalid).await
    );
}

#[tokio::test]
async fn what_is_done_is_not_done_again() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(TABLES).await;
    databases.load(options()).await.expect("a load");
    let marks = "SELECT string_agg(t::text, ',' ORDER BY t::text) FROM (SELECT copied_at::text FROM trunkline.copy_parts \
                 UNION ALL SELECT made_at::text FROM trunkline.structure WHERE kind <> 'DURABLE') AS t";
    let before = databases.ask_target(marks).await;
    databases.load(options()).await.expect("a load again");
    assert_eq!(databases.ask_target(marks).await, before);
    databases.assert_same_contents().await;
}

/// Ends our sessions on the source while the target makes a table's rows wait.
async fn ended_while_waiting(table: &str, purpose: &str) {
    let databases = Databases::new(15, 15).await;
    databases.on_source(TABLES).await;
    let loader = databases.loader(options());
    let inventory = databases.begun(&loader).await;
    loader.restore_pre_data(&inventory).await.expect("tables");

    let holder = connect(&databases.target).await;
    holder
        .batch_execute(&format!("BEGIN; LOCK TABLE {table} IN SHARE MODE"))
        .await
        .expect("a lock");
    let meanwhile = async {
        let source = connect(&databases.source).await;
        let target = connect(&databases.target).await;
        let waiting = format!(
            "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass"
        );
        until(PATIENCE, async || {
            target.query_one(&waiting, &[]).await.expect("locks").get(0)
        })
        .await;
        let end = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE '{purpose}'"
        );
        let ended: i64 = source.query_one(&end, &[]).await.expect("ended").get(0);
        assert!(ended > 0, "a session was there to end");
        holder.batch_execute("ROLLBACK").await.expect("released");
    };
    let (copied, ()) = tokio::join!(loader.copy_and_build(&inventory), meanwhile);
    copied.expect("a copy");
    loader.finish_structure(&inventory).await.expect("the rest");
    databases.assert_same_contents().await;
    let rows = loader.progress().totals().rows;
    assert_eq!(rows, 10_675, "no row is counted twice");
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    skip_unless_available!(15);
    Box::pin(ended_while_waiting("public.numbered", "trunkline copy")).await;
}

#[tokio::test]
async fn a_lost_snapshot_begins_its_table_again() {
    skip_unless_available!(15);
    Box::pin(ended_while_waiting("public.keyless", "trunkline %")).await;
}

/// Puts a proxy before a server and makes the URI go through it.
async fn through_proxy(uri: &mut String) -> FaultyProxy {
    let port = uri
        .rsplit(':')
        .next()
        .and_then(|rest| rest.split('/').next())
        .expect("a port")
        .to_owned();
    let proxy = FaultyProxy::start(port.parse().expect("a number")).await;
    *uri = uri.replace(&format!(":{port}/"), &format!(":{}/", proxy.port()));
    proxy
}

#[tokio::test]
async fn a_network_that_breaks_again_and_again_does_not_stop_it() {
    skip_unless_available!(15);
    let mut databases = Databases::new(15, 15).await;
    databases.on_source(TABLES).await;
    databases.on_source("SELECT lo_from_bytea(0, convert_to(repeat('l', 400000), 'UTF8')) FROM generate_series(1, 20)").await;
    let (direct_source, direct_target) = (databases.source.clone(), databases.target.clone());
    let proxies = [
        through_proxy(&mut databases.source).await,
        through_proxy(&mut databases.target).await,
    ];
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let options = LoadOptions {
        program_folders: Vec::new(),
        ..options()
    };
    let done = CancellationToken::new();
    let load = async {
        let loaded = Box::pin(databases.load(options)).await;
        done.cancel();
        loaded
    };
    let trouble = async {
        for _ in 0..12 {
            let proxy = &proxies[random.usize(0..2)];
            let before = proxy.connections();
            proxy.cut_after(random.u64(50_000..700_000));
            tokio::select! {
                () = done.cancelled() => return,
                () = until(PATIENCE, async || proxy.connections() > before) => {}
            }
            proxy.cut();
        }
    };
    let (loaded, ()) = tokio::join!(load, trouble);
    if let Err(error) = loaded {
        // pg_dump is not run again by itself: a cut may end it.
        assert!(matches!(error, LoadError::Program { .. }), "{error}");
        databases.source = direct_source.clone();
        databases.target = direct_target.clone();
        Box::pin(databases.load(self::options()))
            .await
            .expect("a load");
    }
    databases.source = direct_source;
    databases.target = direct_target;
    databases.assert_same_contents().await;
    let objects = "SELECT count(*) || ' ' || sum(length(lo_get(oid))) FROM pg_largeobject_metadata";
    assert_eq!(
        databases.ask_target(objects).await,
        ask(&databases.source, objects).await
    );
}
