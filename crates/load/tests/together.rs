//! Small tables that are copied in one transaction, and what becomes of the others when one
//! of them cannot be.

mod database;

use std::time::Duration;

use database::{Databases, load_with};
use trunkline_load::{LoadError, LoadOptions};
use trunkline_testkit::{connect, skip_unless_available, until};

/// 700 tables, so that the first ones go many together: some empty, one without a column, one
/// whose rows go as text, some whose rows are larger than what is written at once, and small where they lie.
const MANY: &str = "\
    CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0); \
    DO $$ BEGIN FOR n IN 1 .. 700 LOOP \
      EXECUTE format('CREATE TABLE %I (id int, body text)', 'a \"small\" one, ' || n); \
      IF n % 3 > 0 THEN \
        EXECUTE format('INSERT INTO %I SELECT m, repeat(''\\.'', m) FROM generate_series(1, %s) m', \
          'a \"small\" one, ' || n, n % 30); \
      END IF; \
    END LOOP; END $$; \
    CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES; INSERT INTO bare DEFAULT VALUES; \
    CREATE TABLE texts (a even, b regtype); INSERT INTO texts VALUES (2, 'int4'), (4, 'even'); \
    CREATE TABLE wide (body text); CREATE TABLE wider (LIKE wide); CREATE TABLE widest (LIKE wide); \
    INSERT INTO wide SELECT repeat('x', 600000 + n) FROM generate_series(1, 3) n; \
    INSERT INTO wider TABLE wide; INSERT INTO widest TABLE wide; \
    ANALYZE";

/// Tables with their snapshot, and how many tables had one with others.
const SNAPSHOTS: &str = "SELECT count(*) || ' ' || count(DISTINCT transaction) FROM \
    (SELECT xmin::text AS transaction FROM trunkline.copy_parts WHERE state = 'copied') AS parts";

#[tokio::test]
async fn small_tables_arrive_together() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(MANY).await;
    databases.load(LoadOptions::default()).await.expect("rows");
    databases.assert_same_contents().await;
    let answer = databases.ask_target(SNAPSHOTS).await;
    let (tables, transactions) = answer.split_once(' ').expect("two numbers");
    assert_eq!(tables, "705");
    let transactions: usize = transactions.parse().expect("a number");
    assert!(transactions < 200, "{transactions} transactions");
}

/// The lock of a client on one table keeps back that table, and the client is not kept back
/// by us.
#[tokio::test]
async fn a_locked_table_waits_alone() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(MANY).await;
    let loader = databases.loader(LoadOptions::default());
    let inventory = databases.begun(&loader).await;
    loader
        .restore_pre_data(&inventory)
        .await
        .expect("structure");

    let client = connect(&databases.source).await;
    let lock =
        "BEGIN; LOCK TABLE texts IN ACCESS EXCLUSIVE MODE; INSERT INTO texts VALUES (6, 'text')";
    client.batch_execute(lock).await.expect("a lock");
    let target = connect(&databases.target).await;
    let rest = "SELECT count(*) = 704 FROM trunkline.copy_parts WHERE state = 'copied'";
    let others_are_in = until(Duration::from_mins(2), async || {
        let answer = target.query_one(rest, &[]).await;
        answer.is_ok_and(|row| row.get(0))
    });
    let mut copied = std::pin::pin!(loader.copy_and_build(&inventory));
    tokio::select! {
        ended = &mut copied => panic!("it ended without the locked table: {ended:?}"),
        () = others_are_in => {}
    }
    // It waits for no client that waits for us.
    let all = "LOCK TABLE wide, widest IN ACCESS EXCLUSIVE MODE NOWAIT; COMMIT";
    client.batch_execute(all).await.expect("the other tables");
    copied.await.expect("rows");
    databases.assert_same_contents().await;
}

#[tokio::test]
async fn a_table_that_the_target_refuses_is_named() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(MANY).await;
    let loader = databases.loader(LoadOptions::default());
    let inventory = databases.begun(&loader).await;
    loader
        .restore_pre_data(&inventory)
        .await
        .expect("structure");
    let narrower = "ALTER TABLE texts ADD CONSTRAINT small CHECK (a < 4)";
    databases.on_target(narrower).await;
    match loader.copy_and_build(&inventory).await {
        Err(LoadError::Server(fault)) => {
            assert!(fault.doing.contains("texts"), "{fault}");
            assert!(fault.to_string().contains("\"small\""), "{fault}");
        }
        other => panic!("it should have failed: {other:?}"),
    }
    databases
        .on_target("ALTER TABLE texts DROP CONSTRAINT small")
        .await;
    load_with(&loader, &databases).await.expect("the rest");
    databases.assert_same_contents().await;
}
