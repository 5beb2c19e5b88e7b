//! Nothing here needs a superuser, on either side.

mod database;

use database::Databases;
use trunkline_load::{LoadError, LoadOptions, Scope};
use trunkline_testkit::skip_unless_available;

/// The same database, as the role `mover`.
fn as_mover(uri: &str) -> String {
    uri.replace("postgres://postgres@", "postgres://mover@")
}

async fn prepared() -> Databases {
    let mut databases = Databases::new(15, 15).await;
    databases
        .on_source(
            "CREATE ROLE mover LOGIN; CREATE ROLE app; \
             CREATE TABLE orders (id serial PRIMARY KEY, note text); \
             ALTER TABLE orders OWNER TO app; \
             INSERT INTO orders (note) SELECT 'n' || n FROM generate_series(1, 100) n; \
             CREATE FUNCTION noop() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; \
             CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION noop(); \
             CREATE TABLE hidden (id int PRIMARY KEY); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; \
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO mover; \
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO mover",
        )
        .await;
    databases
        .on_target("ALTER DATABASE after OWNER TO mover; ALTER SCHEMA trunkline OWNER TO mover; GRANT ALL ON SCHEMA public TO mover")
        .await;
    databases.source = as_mover(&databases.source);
    databases.target = as_mover(&databases.target);
    databases
}

#[tokio::test]
async fn a_plain_role_loads_what_it_may_read() {
    skip_unless_available!(15);
    let databases = prepared().await;
    let options = LoadOptions {
        no_owner: true,
        no_privileges: true,
        ..LoadOptions::default()
    };
    let error = databases
        .load(options.clone())
        .await
        .err()
        .expect("row security is not passed over in silence");
    assert!(error.to_string().contains("hidden"), "{error}");

    let owner = databases
        .source
        .replace("postgres://mover@", "postgres://postgres@");
    trunkline_testkit::connect(&owner)
        .await
        .batch_execute("ALTER TABLE hidden DISABLE ROW LEVEL SECURITY")
        .await
        .expect("altered");
    std::fs::remove_file(databases.directory.path().join("structure.dump")).ok();
    databases.load(options.clone()).await.expect("a load");
    assert_eq!(
        databases
            .ask_target("SELECT count(*)::text FROM orders")
            .await,
        "100"
    );
    let given_up = databases.loader(options).given_up().await.expect("a list");
    assert!(
        given_up.iter().any(|left| left.entry.contains("watch")),
        "{given_up:?}"
    );
}

#[tokio::test]
async fn tables_out_of_scope_need_no_privilege() {
    skip_unless_available!(15);
    let databases = prepared().await;
    let owner = databases
        .source
        .replace("postgres://mover@", "postgres://postgres@");
    let client = trunkline_testkit::connect(&owner).await;
    client
        .batch_execute(
            "CREATE SCHEMA closed; CREATE TABLE closed.secrets (id int PRIMARY KEY); \
             CREATE VIEW leaks AS SELECT * FROM closed.secrets; \
             CREATE TABLE others (id int PRIMARY KEY); CREATE VIEW of_others AS SELECT * FROM others; \
             COMMENT ON VIEW of_others IS 'theirs'; \
             ALTER TABLE orders ADD COLUMN secret int REFERENCES closed.secrets, \
               ADD COLUMN other int REFERENCES others",
        )
        .await
        .expect("made");
    let scope = Scope::from_patterns(&["public.orders".to_owned()], &[]).expect("patterns");
    let options = LoadOptions {
        scope,
        no_owner: true,
        no_privileges: true,
        ..LoadOptions::default()
    };
    let inventory = databases.load(options.clone()).await.expect("a load");
    assert_eq!(
        databases
            .ask_target("SELECT count(*)::text FROM orders")
            .await,
        "100"
    );
    let left_out: Vec<&str> = inventory
        .structure
        .left_out
        .iter()
        .map(|left| left.entry.as_str())
        .collect();
    for expected in [
        "TABLE closed.secrets",
        "TABLE public.others",
        "VIEW public.leaks",
        "FK CONSTRAINT public.orders orders_secret_fkey",
    ] {
        assert!(left_out.contains(&expected), "{expected} in {left_out:?}");
    }
    // What needs a table that is not even dumped is found out by the target.
    let given_up = databases.loader(options).given_up().await.expect("a list");
    let names: Vec<&str> = given_up.iter().map(|left| left.entry.as_str()).collect();
    for expected in [
        "VIEW public.of_others",
        "COMMENT public.VIEW of_others",
        "FK CONSTRAINT public.orders orders_other_fkey",
    ] {
        assert!(names.contains(&expected), "{expected} in {names:?}");
    }
}

#[tokio::test]
async fn an_owner_that_cannot_be_given_is_named() {
    skip_unless_available!(15);
    let databases = prepared().await;
    let error = databases
        .load(LoadOptions::default())
        .await
        .err()
        .expect("refused");
    assert!(matches!(error, LoadError::Entry { .. }), "{error}");
    assert!(
        error.to_string().contains("orders")
            || error.to_string().contains("hidden")
            || error.to_string().contains("noop"),
        "{error}"
    );
}
