//! Changes that do not fit, under each policy.

mod bench;

use bench::{Bench, delete, insert, update};
use trunkline_apply::{Applier, ApplyError, ConflictPolicy, Operation, Trouble, count_parked};
use trunkline_changes::{Change, Lsn, ReplicaIdentity};
use trunkline_postgres::Session;

const PEOPLE: &str = "CREATE TABLE public.people (id int PRIMARY KEY, name text NOT NULL, mail text UNIQUE); \
    INSERT INTO public.people VALUES (1, 'one', 'one@x'), (2, 'two', 'two@x')";

async fn people(policy: ConflictPolicy) -> (Bench, Applier) {
    let bench = Bench::start().await;
    bench.target(PEOPLE);
    let applier = bench.with_policy(policy).await;
    (bench, applier)
}

fn rows(bench: &Bench) -> String {
    bench.target("SELECT string_agg(p::text, ' ' ORDER BY id) FROM public.people p")
}

#[tokio::test]
async fn a_missing_row_stops_by_name_and_nothing_of_the_batch_stays() {
    let (mut bench, mut applier) = people(ConflictPolicy::Stop).await;
    let table = bench.relation("public.people", ReplicaIdentity::Default);
    let changes = vec![
        update(&table, None, &["1", "uno", "one@x"]),
        update(&table, None, &["77", "secret", "secret@x"]),
    ];
    let error = bench
        .apply(&mut applier, changes)
        .await
        .expect_err("a conflict");
    let ApplyError::Conflict(conflict) = &error else {
        panic!("{error}");
    };
    assert!(matches!(conflict.trouble, Trouble::Missing));
    assert_eq!(conflict.operation, Operation::Update);
    assert_eq!(conflict.key, ["id"]);
    assert_eq!(conflict.transaction.xid, 7);
    let text = error.to_string();
    for part in [
        "UPDATE",
        "public.people",
        "transaction 7",
        &conflict.commit_lsn().to_string(),
        "hint:",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(rows(&bench), "(1,one,one@x) (2,two,two@x)");
    assert_eq!(applier.applied(), Lsn::ZERO);
    let later = bench.apply(&mut applier, Vec::new()).await;
    assert!(matches!(later, Err(ApplyError::Spent)));
}

#[tokio::test]
async fn a_refused_value_is_told_by_its_constraint_and_never_shown() {
    let (mut bench, mut applier) = people(ConflictPolicy::Stop).await;
    let table = bench.relation("public.people", ReplicaIdentity::Default);
    let changes = vec![insert(&table, &["3", "three", "one@x"])];
    let error = bench
        .apply(&mut applier, changes)
        .await
        .expect_err("a conflict")
        .to_string();
    assert!(
        error.contains("people_mail_key") && error.contains("23505"),
        "{error}"
    );
    assert!(!error.contains("one@x"), "{error}");
    let mut applier = bench.with_policy(ConflictPolicy::Stop).await;
    let changes = vec![insert(&table, &["not a number", "three", "-"])];
    let error = bench
        .apply(&mut applier, changes)
        .await
        .expect_err("a conflict")
        .to_string();
    assert!(
        error.contains("22P02") && !error.contains("not a number"),
        "{error}"
    );
}

fn misfits(bench: &Bench) -> Vec<Change> {
    let table = bench.relation("public.people", ReplicaIdentity::Default);
    vec![
        update(&table, None, &["1", "uno", "one@x"]),
        update(&table, None, &["77", "new", "-"]),
        update(&table, None, &["78", "new", "?"]),
        delete(&table, &["79", "-", "-"]),
        insert(&table, &["2", "dos", "two@x"]),
        insert(&table, &["5", "-", "-"]),
        insert(&table, &["6", "six", "one@x"]),
        insert(&table, &["7", "seven", "-"]),
    ]
}

#[tokio::test]
async fn parked_changes_are_kept_whole_and_the_rest_is_applied() {
    let (mut bench, mut applier) = people(ConflictPolicy::Park).await;
    let changes = misfits(&bench);
    bench.apply(&mut applier, changes).await.expect("parked");
    assert_eq!(rows(&bench), "(1,uno,one@x) (2,two,two@x) (7,seven,)");
    assert_eq!(applier.stats().parked, 6);
    let mut session = Session::connect(&bench.conninfo(), "test")
        .await
        .expect("a session");
    assert_eq!(
        count_parked(&mut session, "test").await.expect("a count"),
        6
    );
    let parked = bench.target(
        "SELECT concat_ws(' ', operation, source_schema, target_table, xid, key_columns, \
         coalesce(old_row, '{}'), coalesce(new_row, '{}'), sqlstate) FROM trunkline.parked ORDER BY parked_id",
    );
    let expected = [
        "UPDATE public people 7 {id} {} {\"id\": \"77\", \"mail\": null, \"name\": \"new\"}",
        "UPDATE public people 7 {id} {} {\"id\": \"78\", \"name\": \"new\"}",
        "DELETE public people 7 {id} {\"id\": \"79\"} {}",
        "INSERT public people 7 {id} {} {\"id\": \"2\", \"mail\": \"two@x\", \"name\": \"dos\"} 23505",
        "INSERT public people 7 {id} {} {\"id\": \"5\", \"mail\": null, \"name\": null} 23502",
        "INSERT public people 7 {id} {} {\"id\": \"6\", \"mail\": \"one@x\", \"name\": \"six\"} 23505",
    ];
    assert_eq!(parked.lines().collect::<Vec<_>>(), expected);
    let times = bench.target("SELECT DISTINCT committed_at FROM trunkline.parked");
    assert!(times.starts_with("2025-05-08"), "{times}");
}

#[tokio::test]
async fn upsert_mends_what_it_can_and_parks_the_rest() {
    let (mut bench, mut applier) = people(ConflictPolicy::Upsert).await;
    let changes = misfits(&bench);
    bench
        .apply(&mut applier, changes)
        .await
        .expect("mended or parked");
    assert_eq!(
        rows(&bench),
        "(1,uno,one@x) (2,dos,two@x) (7,seven,) (77,new,)"
    );
    assert_eq!((applier.stats().mended, applier.stats().parked), (3, 3));
}

#[tokio::test]
async fn a_privilege_that_is_missing_stops_under_every_policy() {
    let mut bench = Bench::start().await;
    bench.target(PEOPLE);
    bench.target(
        "CREATE ROLE mover LOGIN; GRANT USAGE ON SCHEMA trunkline TO mover; \
         GRANT ALL ON ALL TABLES IN SCHEMA trunkline TO mover; \
         ALTER ROLE mover SET session_replication_role = replica; GRANT SELECT ON public.people TO mover",
    );
    let uri = bench.cluster.uri("target").replace("postgres@", "mover@");
    let options = trunkline_apply::ApplyOptions {
        policy: ConflictPolicy::Park,
        ..bench.options()
    };
    let conninfo = trunkline_postgres::Conninfo::resolve(&uri).expect("a conninfo");
    let mut applier = Applier::open(&conninfo, options)
        .await
        .expect("the role has what opening needs");
    let table = bench.relation("public.people", ReplicaIdentity::Default);
    let outcome = bench
        .apply(&mut applier, vec![insert(&table, &["3", "three", "-"])])
        .await;
    assert!(
        matches!(outcome, Err(ApplyError::Conflict(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn unique_values_that_go_from_row_to_row_arrive_one_by_one() {
    let (mut bench, mut applier) = people(ConflictPolicy::Stop).await;
    let table = bench.relation("public.people", ReplicaIdentity::Default);
    let changes = vec![
        update(&table, None, &["1", "one", "free@x"]),
        update(&table, None, &["2", "two", "one@x"]),
        update(&table, None, &["1", "one", "two@x"]),
    ];
    bench
        .apply(&mut applier, changes)
        .await
        .expect("it fits in order");
    assert_eq!(rows(&bench), "(1,one,two@x) (2,two,one@x)");
    assert_eq!(applier.stats().one_by_one, 1);
}

#[tokio::test]
async fn conflicts_among_many_changes_are_found_each_in_its_place() {
    let (mut bench, mut applier) = people(ConflictPolicy::Park).await;
    let table = bench.relation("public.people", ReplicaIdentity::Default);
    let mut changes = Vec::new();
    for id in 100..2100 {
        let id = id.to_string();
        changes.push(insert(&table, &[&id, "new", "-"]));
        if id.ends_with("50") {
            changes.push(delete(&table, &["9999", "-", "-"]));
        }
    }
    bench.apply(&mut applier, changes).await.expect("parked");
    assert_eq!(applier.stats().parked, 20);
    assert_eq!(bench.target("SELECT count(*) FROM public.people"), "2002");
}

#[tokio::test]
async fn deferrable_values_may_be_swapped() {
    let mut bench = Bench::start().await;
    bench.target(
        "CREATE TABLE public.seats (id int PRIMARY KEY, seat int UNIQUE DEFERRABLE); \
         INSERT INTO public.seats VALUES (1, 10), (2, 20)",
    );
    let mut applier = bench.applier().await;
    let table = bench.relation("public.seats", ReplicaIdentity::Default);
    let changes = vec![
        update(&table, None, &["1", "20"]),
        update(&table, None, &["2", "10"]),
    ];
    bench
        .apply(&mut applier, changes)
        .await
        .expect("it is checked at the end");
    assert_eq!(
        bench.target("SELECT string_agg(s::text, ' ' ORDER BY id) FROM public.seats s"),
        "(1,20) (2,10)"
    );
    assert_eq!(applier.stats().one_by_one, 0);
}
