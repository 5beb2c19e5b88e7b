//! Triggers and cascades of the target do not answer the mending, and where they could not be
//! kept from it nothing is mended.

use trunkline_verify::RepairError;

use crate::bench::{Bench, MENDED, SOURCE, begin, repair_between, session};

const HARMFUL: &str = "CREATE TABLE parents (id int PRIMARY KEY, u int UNIQUE); \
    CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE); \
    CREATE TABLE audited (id int PRIMARY KEY, v text); CREATE TABLE audit (v text); \
    CREATE FUNCTION harm() RETURNS trigger LANGUAGE plpgsql AS \
      $$BEGIN INSERT INTO public.audit VALUES ('harm'); NEW.v := 'harm'; RETURN NEW; END$$; \
    CREATE TABLE quiet (id int PRIMARY KEY, v text)";
const HERE: &str = "INSERT INTO parents VALUES (1, 10), (2, 20); \
    INSERT INTO children VALUES (1, 1), (2, 2); \
    INSERT INTO audited VALUES (1, 'a'), (2, 'b'); INSERT INTO quiet VALUES (1, 'a'), (2, 'b'), (3, 'c')";
const THERE: &str = "INSERT INTO parents VALUES (1, 20), (2, 10), (3, 30); \
    INSERT INTO children VALUES (1, 1), (2, 2), (3, 3); INSERT INTO audited VALUES (1, 'x'), (3, 'c'); \
    INSERT INTO quiet VALUES (1, 'x'), (2, 'b'), (4, 'd'); \
    CREATE TRIGGER harm BEFORE INSERT OR UPDATE ON audited FOR EACH ROW EXECUTE FUNCTION harm()";

#[tokio::test]
async fn cascades_and_triggers_do_no_harm() {
    let bench = Bench::set_up(HARMFUL, HERE, THERE).await;
    bench.mend_both().await;
}

#[tokio::test]
async fn a_role_that_cannot_silence_triggers_mends_only_where_there_are_none() {
    let bench = Bench::set_up(HARMFUL, HERE, THERE).await;
    let rights = "CREATE ROLE mender LOGIN; GRANT USAGE ON SCHEMA public TO mender; \
                  GRANT ALL ON ALL TABLES IN SCHEMA public TO mender";
    bench.target().psql(MENDED, rights);
    let uri = bench.target().uri(MENDED).replace("postgres@", "mender@");
    let mut target = session(&uri).await;
    let differences = bench.differences(MENDED).await;
    for table in ["parents", "audited"] {
        let of_table = |d: &&_| -> bool { named(d, table) };
        let some: Vec<_> = differences.iter().filter(of_table).cloned().collect();
        let outcome = bench.repair_by(&mut target, &some).await;
        assert!(
            matches!(&outcome, Err(RepairError::Fires { table: t }) if t.name == table),
            "{outcome:?}"
        );
    }
    assert_eq!(bench.differences(MENDED).await, differences);
    let quiet = |d: &&_| -> bool { named(d, "quiet") };
    let some: Vec<_> = differences.iter().filter(quiet).cloned().collect();
    let repaired = bench.repair_by(&mut target, &some).await;
    assert_eq!(repaired.expect("mended").mended, 3);
    assert!(
        !bench
            .differences(MENDED)
            .await
            .iter()
            .any(|d| named(d, "quiet"))
    );
}

fn named(difference: &trunkline_verify::RowDifference, table: &str) -> bool {
    difference.table.name == table
}

#[tokio::test]
async fn plain_roles_mend_all_where_one_may_silence_triggers() {
    trunkline_testkit::skip_unless_available!(16);
    let bench = Bench::between(16, 16).await;
    for (database, own) in [("source", HERE), (MENDED, THERE), ("scripted", THERE)] {
        bench.target().psql(database, HARMFUL);
        bench.target().psql(database, own);
    }
    let rights = "CREATE ROLE mender LOGIN; GRANT USAGE ON SCHEMA public TO mender; \
                  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO mender; \
                  GRANT SET ON PARAMETER session_replication_role TO mender";
    bench.target().psql(MENDED, rights);
    let uri = bench.target().uri(MENDED).replace("postgres@", "mender@");
    let mut target = session(&uri).await;
    let rights = "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA public TO reader; \
                  GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader";
    bench.on_source.psql(SOURCE, rights);
    let uri = bench.on_source.uri(SOURCE).replace("postgres@", "reader@");
    let mut source = session(&uri).await;
    begin(&mut source).await;
    let differences = bench.differences(MENDED).await;
    let repaired = repair_between(&mut source, &mut target, &differences).await;
    repaired.expect("mended");
    assert_eq!(bench.differences(MENDED).await, []);
}
