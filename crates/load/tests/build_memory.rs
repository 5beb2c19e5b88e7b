//! Memory of index builds: each index of the target tells by its own expression what its build
//! was given.

mod database;

use database::Databases;
use trunkline_load::LoadOptions;
use trunkline_testkit::skip_unless_available;

/// On the target, an index is only built with the memory that its expression names; statistics
/// are gathered with any.
const SHOP: &str = "\
    CREATE FUNCTION needs(memory text, value int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN \
      IF current_setting('trunkline_test.target', true) = 'yes' AND current_query() LIKE '%INDEX %' \
         AND current_setting('maintenance_work_mem') <> memory THEN \
        RAISE EXCEPTION 'a build that needs % has %', memory, current_setting('maintenance_work_mem'); \
      END IF; RETURN value; END $$; \
    CREATE TABLE sold (id int PRIMARY KEY, tags int[]); \
    INSERT INTO sold SELECT n, ARRAY[n % 7, n % 5] FROM generate_series(1, 5000) n; \
    CREATE INDEX sold_tree ON sold (needs('96MB', id)); \
    CREATE INDEX sold_tags ON sold USING gin ((ARRAY[needs('32MB', id)])); \
    CREATE INDEX sold_range ON sold USING brin (needs('300MB', id)); \
    ANALYZE";

#[tokio::test]
async fn sorted_and_gin_indexes_are_built_with_little_memory_and_others_with_the_targets() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(SHOP).await;
    databases
        .on_target(
            "DO $$ BEGIN \
               EXECUTE format('ALTER DATABASE %I SET trunkline_test.target = ''yes''', current_database()); \
               EXECUTE format('ALTER DATABASE %I SET max_parallel_maintenance_workers = 3', current_database()); \
               EXECUTE format('ALTER DATABASE %I SET maintenance_work_mem = ''300MB''', current_database()); \
             END $$",
        )
        .await;
    let loaded = databases.load(LoadOptions::default()).await;
    loaded.expect("every index has the memory that it needs");
    let built =
        "SELECT count(*)::text FROM pg_index WHERE indrelid = 'sold'::regclass AND indisvalid";
    assert_eq!(databases.ask_target(built).await, "4");
}
