//! The scripts of `trunkline sql`, read from one database and run on another.

use trunkline_changes::TableName;
use trunkline_migration::scripts;
use trunkline_postgres::{Conninfo, Session};
use trunkline_testkit::Cluster;

async fn session(cluster: &Cluster, database: &str) -> Session {
    let conninfo = Conninfo::resolve(&cluster.uri(database)).expect("the conninfo is well-formed");
    Session::connect(&conninfo, "scripts")
        .await
        .expect("the server answers")
}

const POSITIONS: &str = "
    SELECT last_value, is_called FROM called UNION ALL
    SELECT last_value, is_called FROM fresh UNION ALL
    SELECT last_value, is_called FROM placed UNION ALL
    SELECT last_value, is_called FROM \"Odd's\"";

#[tokio::test]
async fn sequences_stand_on_the_other_server_where_they_stood() {
    let cluster = Cluster::start_any();
    let make = "CREATE SEQUENCE called; CREATE SEQUENCE fresh; CREATE SEQUENCE placed;
                CREATE SEQUENCE \"Odd's\" INCREMENT -3 MAXVALUE 100;";
    for database in ["one", "two"] {
        cluster.create_database(database).await;
        cluster.psql(database, make);
    }
    cluster.psql("one", "SELECT nextval('called') FROM generate_series(1, 7)");
    cluster.psql(
        "one",
        "SELECT setval('placed', 1000, false), nextval('\"Odd''s\"')",
    );
    let before = cluster.psql("one", POSITIONS);
    assert_ne!(before, cluster.psql("two", POSITIONS));
    let script = scripts::sequences(&mut session(&cluster, "one").await)
        .await
        .expect("a script");
    cluster.psql("two", &script);
    assert_eq!(cluster.psql("two", POSITIONS), before);
}

#[tokio::test]
async fn triggers_rest_and_wake_each_in_its_own_mode() {
    let cluster = Cluster::start_any();
    cluster.create_database("app").await;
    cluster.psql(
        "app",
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TABLE \"T\" (id int PRIMARY KEY); CREATE TABLE other (id int REFERENCES \"T\");
         CREATE TABLE parts (id int) PARTITION BY LIST (id);
         CREATE TABLE part PARTITION OF parts FOR VALUES IN (1);
         CREATE TRIGGER plain AFTER INSERT ON \"T\" EXECUTE FUNCTION noted();
         CREATE TRIGGER \"Al ways\" AFTER INSERT ON \"T\" EXECUTE FUNCTION noted();
         CREATE TRIGGER replica AFTER INSERT ON \"T\" EXECUTE FUNCTION noted();
         CREATE TRIGGER resting AFTER INSERT ON \"T\" EXECUTE FUNCTION noted();
         CREATE TRIGGER rows AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION noted();
         CREATE TRIGGER untouched AFTER INSERT ON other EXECUTE FUNCTION noted();
         ALTER TABLE \"T\" ENABLE ALWAYS TRIGGER \"Al ways\"; ALTER TABLE \"T\" ENABLE REPLICA TRIGGER replica;
         ALTER TABLE \"T\" DISABLE TRIGGER resting; ALTER TABLE part ENABLE ALWAYS TRIGGER rows;",
    );
    let modes = "SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger ORDER BY 1, 2, 3";
    let before = cluster.psql("app", modes);
    let tables = ["T", "parts", "part"].map(|name| TableName::new("public", name));
    let made = scripts::triggers(&mut session(&cluster, "app").await, &tables)
        .await
        .expect("scripts");
    cluster.psql("app", &made.disable_sql);
    let enabled = "SELECT string_agg(tgname, ',') FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'";
    assert_eq!(cluster.psql("app", enabled), "untouched");
    cluster.psql("app", &made.enable_sql);
    assert_eq!(cluster.psql("app", modes), before);
}

#[tokio::test]
async fn a_publication_script_publishes_the_tables() {
    let cluster = Cluster::start_any();
    cluster.create_database("app").await;
    cluster.psql("app", "CREATE TABLE \"T\" (id int PRIMARY KEY)");
    cluster.psql(
        "app",
        &scripts::publication("p q", &[TableName::new("public", "T")]),
    );
    let published = "SELECT pubname || ' ' || tablename FROM pg_publication_tables";
    assert_eq!(cluster.psql("app", published), "p q T");
}
