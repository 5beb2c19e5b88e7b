//! More tables than the target has locks for (some 1,500): nothing may take them all at once.

use trunkline_testkit::{Cluster, any_major, skip_unless_available, until};

use crate::scene::{PATIENCE, Pace, Scene, seed};

/// 1,800 tables with a sequence each, in 18 schemas, and a function and comments with the ends of
/// lines that Windows has.
const TABLES: &str = "DO $$ BEGIN
    FOR s IN 1..18 LOOP
        EXECUTE format('CREATE SCHEMA tenant_%s', s);
        FOR t IN 1..100 LOOP
            EXECUTE format('CREATE TABLE tenant_%s.t%s (id serial PRIMARY KEY, note text)', s, t);
            EXECUTE format('INSERT INTO tenant_%s.t%s (note) VALUES (''one''), (''two'')', s, t);
        END LOOP;
    END LOOP; END $$;
    DO $$ BEGIN EXECUTE replace('CREATE FUNCTION public.two_lines() RETURNS text LANGUAGE sql AS
        ''SELECT ''''first
second''''''', E'\\n', E'\\r\\n'); END $$;
    DO $$ BEGIN EXECUTE format('COMMENT ON SCHEMA tenant_1 IS %L', E'one\\r\\ntwo'); END $$";

/// Each table changed, 40 to a transaction. The name tells the rounds apart.
fn round(name: &str) -> String {
    format!(
        "DO $$ DECLARE done int := 0; one record; BEGIN
            FOR one IN SELECT schemaname, tablename FROM pg_tables
                        WHERE schemaname LIKE 'tenant%' ORDER BY md5(schemaname || tablename) LOOP
                EXECUTE format('INSERT INTO %I.%I (note) VALUES (''{name}'')',
                               one.schemaname, one.tablename);
                EXECUTE format('UPDATE %I.%I SET note = note || ''{name}'' WHERE id = 1',
                               one.schemaname, one.tablename);
                done := done + 1;
                IF done % 40 = 0 THEN COMMIT; END IF;
            END LOOP; END $$"
    )
}

/// What the tables and their sequences hold, a schema at a time: the target has locks for no
/// more.
fn contents(says: impl Fn(&str) -> String) -> String {
    let of_table = |schema: u32, table: u32| {
        format!(
            "SELECT {table}, md5(string_agg(t::text, ',' ORDER BY id)) FROM tenant_{schema}.t{table} t"
        )
    };
    let of_schema = |schema| {
        let tables: Vec<String> = (1..=100).map(|table| of_table(schema, table)).collect();
        let positions = format!(
            "SELECT string_agg(sequencename || last_value, ',' ORDER BY sequencename) \
             FROM pg_sequences WHERE schemaname = 'tenant_{schema}'"
        );
        says(&format!("{} ORDER BY 1", tables.join(" UNION ALL "))) + &says(&positions)
    };
    (1..=18).map(of_schema).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_tables_than_the_target_has_locks_for_move_there_and_back() {
    let major = any_major();
    skip_unless_available!(major);
    let few_locks = Cluster::builder(major)
        .setting("max_locks_per_transaction", "10")
        .setting("max_connections", "25")
        .setting("max_prepared_transactions", "0")
        .setting("max_worker_processes", "4")
        .setting("max_wal_senders", "6");
    let scene = Scene::of(Cluster::start(major), few_locks.start(), "app").await;
    let scene = scene.with(TABLES).with_shop(1).await;
    let writers = scene.paced_clients(seed(), Pace::Usual);
    scene.done(&["run", "--until", "verified"]).await;
    scene.source_says(&round("a"));
    scene.done(&["run", "--until", "following"]).await;

    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    let seen = writers.committed();
    assert!(seen > 0, "nobody wrote");
    writers.stop().await;
    let on_source = contents(|sql| scene.source_says(sql));
    assert!(on_source.contains("t1_id_seq3"), "{on_source}");
    assert_eq!(contents(|sql| scene.target_says(sql)), on_source);
    let texts = "SELECT md5(prosrc), length(prosrc) - length(replace(prosrc, E'\r', '')), \
                 md5(obj_description('tenant_1'::regnamespace)) FROM pg_proc \
                 WHERE proname = 'two_lines'";
    let on_source = scene.source_says(texts);
    assert!(on_source.contains("|1|"), "{on_source}");
    assert_eq!(scene.target_says(texts), on_source);

    scene.target_says(&round("b"));
    let sql = "SELECT count(*) FROM tenant_16.t100 WHERE note = 'b'";
    let mut following = scene.start(&["run"]);
    until(PATIENCE, async || {
        following.is_over() || scene.source_says(sql).trim() == "1"
    })
    .await;
    scene.done(&["rollback"]).await;
    let on_source = contents(|sql| scene.source_says(sql));
    assert!(on_source.contains("t1_id_seq4"), "{on_source}");
    assert_eq!(contents(|sql| scene.target_says(sql)), on_source);
    scene.done(&["abort"]).await;
    following.ended().await.expect_code(9);
    scene.assert_nothing_of_ours().await;
}
