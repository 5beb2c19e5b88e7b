//! The whole way as two plain roles that have what SECURITY.md says, and nothing else.

use tokio_postgres::error::SqlState;
use trunkline_testkit::contents::catalog;
use trunkline_testkit::{Cluster, skip_unless_available, try_connect, world};

use crate::scene::{DATABASE, Scene, assert_same_catalog};

const SECURITY: &str = include_str!("../../../../SECURITY.md");

/// Beside the shop: no key, generated and identity columns, a view, a function, a schema with
/// a name to be quoted.
const MORE: &str = "
    CREATE TABLE public.keyless (a int, b json);
    ALTER TABLE public.keyless REPLICA IDENTITY FULL;
    INSERT INTO public.keyless SELECT n % 3, '{}' FROM generate_series(1, 30) AS n;
    CREATE SCHEMA \"Own schema\";
    CREATE TABLE \"Own schema\".\"T\" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        doubled int GENERATED ALWAYS AS (2 * length(note)) STORED, note text);
    INSERT INTO \"Own schema\".\"T\" (note) SELECT 'x' FROM generate_series(1, 30);
    CREATE VIEW public.totals AS SELECT count(*) FROM public.keyless;
    CREATE FUNCTION public.one() RETURNS int LANGUAGE sql AS 'SELECT 1';";

/// What a fence changes.
const DATABASE_SETTINGS: &str = "
    SELECT datconnlimit, datallowconn, datacl,
           (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0)
      FROM pg_database d WHERE datname = 'app'";

/// The SQL that stands in SECURITY.md under a mark.
fn documented(mark: &str) -> &'static str {
    let mark = format!("<!-- sql: {mark} -->\n```sql\n");
    let (_, after) = SECURITY.split_once(&mark).expect("the mark is there");
    after.split_once("```").expect("a block of SQL ends").0
}

/// Makes the documented role on a side, in a database that belongs to a plain owner.
fn prepare(side: &str, cluster: &Cluster) {
    cluster.psql("postgres", "CREATE ROLE app_owner NOLOGIN");
    cluster.psql("postgres", "ALTER DATABASE app OWNER TO app_owner");
    let replica = if cluster.major() >= 15 {
        "both, 15 and later"
    } else {
        "both, before 15"
    };
    cluster.psql(DATABASE, documented(side));
    cluster.psql(DATABASE, documented(replica));
    let superusers = "SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolsuper";
    assert_eq!(cluster.psql(DATABASE, superusers), "postgres");
}

/// A migration between two servers that it reaches as the documented roles only, with a shop
/// that belongs to a plain owner, and a plain role of the application.
async fn plain(source: u32, target: u32) -> Scene {
    let mut scene = Scene::new(source, target).await;
    prepare("source", &scene.source);
    prepare("target", &scene.target);
    let owner = scene.on_source().await;
    let assumed = owner.batch_execute("SET ROLE app_owner").await;
    assumed.expect("the owner's role can be taken");
    world::create(&owner, 1).await;
    owner.batch_execute(MORE).await.expect("more can be made");
    scene.source_says("CREATE ROLE app_user LOGIN; GRANT app_owner TO app_user");
    for (variable, uri) in [
        ("TRUNKLINE_SOURCE", scene.source.uri(DATABASE)),
        ("TRUNKLINE_TARGET", scene.target.uri(DATABASE)),
    ] {
        scene.reach(variable, &uri.replace("postgres@", "trunkline@"));
    }
    scene
}

async fn moves(source: u32, target: u32) {
    let scene = plain(source, target).await;
    let before = catalog(&scene.on_source().await).await;
    let writers = scene.writers_as("app_user").start();

    scene.done(&["check"]).await;
    scene.done(&["run", "--until", "verified"]).await;
    let seen = writers.committed();
    scene.done(&["verify"]).await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    let outcome = writers.stop().await;
    assert_eq!(report["outcome"], "switched", "{report:#}");
    assert!(seen > 0 && outcome.committed > seen, "{outcome:?}");
    scene.assert_same().await;
    let owners = "SELECT DISTINCT tableowner FROM pg_tables \
                  WHERE schemaname IN ('public', 'shop', 'Own schema')";
    assert_eq!(scene.target_says(owners), "app_owner");

    scene.done(&["complete"]).await;
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
    for cluster in [&scene.source, &scene.target] {
        cluster.psql(DATABASE, documented("afterwards"));
        let left = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = 'trunkline'), \
                           (SELECT count(*) FROM public.keyless)";
        assert_eq!(cluster.psql(DATABASE, left), "0|30");
    }
    scene.assert_same_rows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_roles_move_a_live_database_from_15_to_17() {
    skip_unless_available!(15, 17);
    moves(15, 17).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_roles_move_a_live_database_from_14_to_15() {
    skip_unless_available!(14, 15);
    moves(14, 15).await;
}

/// A target before 15 has no grant for triggers at rest: an administrator's setting does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_roles_move_a_live_database_from_16_to_13() {
    skip_unless_available!(16, 13);
    moves(16, 13).await;
}

/// The application's role is let in on one side, and refused on the other.
async fn serves_the_application(scene: &Scene, serves: &Cluster, closed: &Cluster) {
    let uri = |cluster: &Cluster| {
        cluster
            .uri(&scene.database)
            .replace("postgres@", "app_user@")
    };
    let client = try_connect(&uri(serves)).await;
    let client = client.expect("the application may connect to the side that serves");
    let write = "INSERT INTO public.keyless VALUES (7, '{}')";
    client
        .batch_execute(write)
        .await
        .expect("the application may write there");
    let refused = try_connect(&uri(closed)).await.err();
    let refused = refused.expect("the application is refused on the other side");
    let state = refused.code().map(SqlState::code);
    assert_eq!(state, Some("42501"), "{refused:?}");
}

/// There, back, and there again, with writes of the application on the side that serves.
async fn moves_to_and_fro(source: u32, target: u32) {
    let scene = plain(source, target).await;
    scene.target_says("CREATE ROLE app_user LOGIN; GRANT app_owner TO app_user");
    let before = catalog(&scene.on_source().await).await;
    let checked = scene.done(&["check", "--json"]).await.json();
    assert!(!checked.to_string().contains("no way back"), "{checked:#}");
    scene.done(&["run", "--until", "verified"]).await;
    let (old, new) = (&scene.source, &scene.target);

    scene.done(&["cutover"]).await;
    serves_the_application(&scene, new, old).await;
    let following = scene.start(&["run"]);
    let report = scene.done(&["rollback", "--json"]).await.json();
    assert_eq!(report["outcome"], "rolled_back", "{report:#}");
    serves_the_application(&scene, old, new).await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    serves_the_application(&scene, new, old).await;
    let rows = "SELECT count(*) FROM public.keyless WHERE a = 7";
    assert_eq!(scene.target_says(rows), "3");

    scene.done(&["complete"]).await;
    following.ended().await.expect_code(0);
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
    for cluster in [old, new] {
        cluster.psql(DATABASE, documented("afterwards"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_roles_move_there_and_back_and_there_again_from_15_to_17() {
    skip_unless_available!(15, 17);
    moves_to_and_fro(15, 17).await;
}

/// A source before 15 has no grant for triggers at rest: an administrator's setting does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_roles_move_there_and_back_and_there_again_from_13_to_16() {
    skip_unless_available!(13, 16);
    moves_to_and_fro(13, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_roles_give_a_migration_up_and_leave_both_sides_as_they_were() {
    skip_unless_available!(15, 17);
    let scene = plain(15, 17).await;
    let (source, target) = scene.catalogs().await;
    scene.done(&["run", "--until", "following"]).await;
    scene.done(&["abort"]).await;
    let (source_after, target_after) = scene.catalogs().await;
    assert_same_catalog("source", &source, &source_after);
    assert_same_catalog("target", &target, &target_after);
}

/// `check` warns of what the cutover is refused by, and says how it is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cutover_that_could_not_be_taken_back_is_refused_by_what_check_warned_of() {
    skip_unless_available!(15, 17);
    let scene = plain(15, 17).await;
    scene.target_says("REVOKE pg_signal_backend FROM trunkline");
    scene.source_says("REVOKE SET ON PARAMETER session_replication_role FROM trunkline");
    scene.done(&["run", "--until", "verified"]).await;
    scene.target_says("ALTER TABLE public.keyless REPLICA IDENTITY NOTHING");
    let lacking = [
        "our role on the target may not end the sessions of other roles",
        "our role on the source may not set session_replication_role",
        "public.keyless on the target has no usable replica identity",
    ];
    let checked = scene.done(&["check", "--json"]).await.json().to_string();
    let refused = scene.trunkline(&["cutover"]).await;
    refused.expect_code(9).expect_said(&lacking);
    for lack in lacking {
        assert!(checked.contains(lack), "{lack}: {checked}");
    }
    scene.done(&["cutover", "--no-way-back"]).await;
    scene.done(&["complete"]).await;
}

/// Where our role may not close the source, nobody is held, with a way back or without: `run`
/// goes on, and what the refusal says mends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cutover_that_may_not_raise_its_fence_is_refused_and_the_stream_goes_on() {
    skip_unless_available!(15, 17);
    let scene = plain(15, 17).await;
    scene.source_says("ALTER DATABASE app OWNER TO postgres");
    let before = scene.source_says(DATABASE_SETTINGS);
    let writers = scene.writers_as("app_user").start();
    scene.done(&["run", "--until", "verified"]).await;
    let mut following = scene.start(&["run"]);
    following.must_say("following").await;

    let lack = "only the owner of the source's database, postgres, may close it";
    let checked = scene.done(&["check", "--json"]).await.json().to_string();
    assert!(checked.contains(lack), "{checked}");
    assert!(checked.contains("no cutover as it is"), "{checked}");
    let mends = "ALTER DATABASE \"app\" OWNER TO \"trunkline\"";
    let refused = scene.trunkline(&["cutover"]).await;
    let refused = refused.expect_code(9).expect_said(&[lack, mends]);
    assert!(!refused.stderr.contains("--no-way-back"), "{refused}");
    for arguments in [
        &["cutover", "--rehearse", "--no-way-back"][..],
        &["cutover", "--no-way-back"],
    ] {
        let refused = scene.trunkline(arguments).await;
        refused
            .expect_code(9)
            .expect_said(&["nothing was held", mends]);
        assert_eq!(scene.source_says(DATABASE_SETTINGS), before);
        assert_eq!(scene.phase().await, "verified");
    }
    // The other command still follows.
    let written = writers.committed();
    trunkline_testkit::until(crate::scene::PATIENCE, async || {
        writers.committed() > written
    })
    .await;
    scene.done(&["verify"]).await;
    assert!(!following.is_over(), "{}", following.so_far());

    scene.source_says(mends);
    scene
        .done(&["cutover", "--rehearse", "--no-way-back"])
        .await;
    scene.done(&["cutover", "--no-way-back"]).await;
    writers.stop().await;
    scene.assert_same().await;
    following.ended().await.expect_code(0);
}
