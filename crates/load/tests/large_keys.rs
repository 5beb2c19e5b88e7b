//! Large keys: their indexes are built beside the table's others, and taken over.

mod database;

use std::time::Duration;

use database::{Databases, ask};
use trunkline_load::{LoadError, LoadOptions};
use trunkline_testkit::{connect, skip_unless_available, until};

/// The index of `waits` stops on the target at its last row, until a lock is free, and fails
/// there while the target is told to.
const BIG: &str = "\
    CREATE FUNCTION waits(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN \
      IF $1 = 800000 AND current_setting('trunkline_test.fails', true) = 'yes' THEN \
        PERFORM pg_advisory_lock_shared(42); RAISE EXCEPTION 'not yet'; \
      END IF; RETURN $1; END $$; \
    CREATE TABLE big (id int NOT NULL, other int NOT NULL, \"odd, (name)\" int, \
      CONSTRAINT big_pkey PRIMARY KEY (id), \
      CONSTRAINT \"odd (u)\" UNIQUE (other, \"odd, (name)\") INCLUDE (id), \
      CONSTRAINT late UNIQUE (other) DEFERRABLE INITIALLY DEFERRED); \
    INSERT INTO big SELECT n, -n, n % 7 FROM generate_series(1, 800000) n; \
    CREATE INDEX big_waits ON big (waits(id)); \
    ANALYZE";

const CONSTRAINTS: &str = "SELECT conname || ' ' || pg_get_constraintdef(oid) || ' ' || \
    (SELECT format('%s %s %s', indisprimary, indisunique, indimmediate) FROM pg_index \
     WHERE indexrelid = conindid) \
    FROM pg_constraint WHERE conrelid = 'big'::regclass AND contype IN ('p', 'u') ORDER BY 1";

const FILES: &str = "SELECT relname || relfilenode FROM pg_class \
    WHERE relname IN ('big_pkey', 'odd (u)') ORDER BY 1";

fn options() -> LoadOptions {
    LoadOptions {
        index_jobs: 3,
        ..LoadOptions::default()
    }
}

#[tokio::test]
async fn the_index_of_a_large_key_that_stands_is_taken_over_after_a_failure() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(BIG).await;
    databases
        .on_target(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET trunkline_test.fails = ''yes''', \
             current_database()); END $$",
        )
        .await;
    let holder = connect(&databases.target).await;
    let lock = holder.batch_execute("SELECT pg_advisory_lock(42)").await;
    lock.expect("a lock");
    let built = "SELECT count(*) = 2 FROM trunkline.structure WHERE kind = 'CONSTRAINT INDEX'";
    let both_stand = until(Duration::from_mins(2), async || {
        let answer = holder.query_one(built, &[]).await;
        answer.is_ok_and(|row| row.get(0))
    });
    let mut load = std::pin::pin!(databases.load(options()));
    tokio::select! {
        ended = &mut load => panic!("it ended before the keys stood: {:?}", ended.map(drop)),
        () = both_stand => {}
    }
    let unlock = holder.batch_execute("SELECT pg_advisory_unlock(42)").await;
    unlock.expect("the lock is given back");
    let failed = load.await;
    match failed.map(drop) {
        Err(LoadError::Entry { entry, cause }) => {
            assert!(entry.contains("big_waits"), "{entry}: {cause}");
        }
        other => panic!("it should have failed: {other:?}"),
    }
    let before = databases.ask_target(FILES).await;
    assert_eq!(before.lines().count(), 2, "{before}");

    databases
        .on_target(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET trunkline_test.fails', \
             current_database()); END $$",
        )
        .await;
    databases.load(options()).await.expect("it goes on");
    assert_eq!(databases.ask_target(FILES).await, before, "built once");
    assert_eq!(
        databases.ask_target(CONSTRAINTS).await,
        ask(&databases.source, CONSTRAINTS).await
    );
    databases.assert_same_contents().await;
}
