//! A part of a database: what is named moves, what is not stays, and what could not come
//! along is said.

use std::fs;

use trunkline_testkit::contents::{assert_same_contents, fingerprint};
use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::Scene;

/// Two schemas; foreign keys in both directions across the cut; partitions; a view on both.
const WORLD: &str = "
    CREATE SCHEMA billing;
    CREATE SCHEMA junk;
    CREATE TABLE public.customers (id int PRIMARY KEY, name text);
    CREATE TABLE public.orders (id serial PRIMARY KEY, customer int
        CONSTRAINT orders_to_customers REFERENCES public.customers, total int);
    CREATE INDEX orders_by_total ON public.orders (total);
    CREATE TABLE public.lines (id int PRIMARY KEY, \"order\" int
        CONSTRAINT lines_to_orders REFERENCES public.orders);
    CREATE TABLE public.tmp_1 (id int PRIMARY KEY);
    CREATE TABLE public.tmp_2 (id int PRIMARY KEY);
    CREATE TABLE billing.invoices (id int PRIMARY KEY, \"order\" int
        CONSTRAINT invoices_to_orders REFERENCES public.orders);
    CREATE TABLE billing.log (at int PRIMARY KEY) PARTITION BY RANGE (at);
    CREATE TABLE billing.log_1 PARTITION OF billing.log FOR VALUES FROM (0) TO (100);
    CREATE TABLE billing.log_2 PARTITION OF billing.log FOR VALUES FROM (100) TO (200);
    CREATE TABLE junk.things (id int, what text);
    CREATE VIEW public.both AS SELECT o.id FROM public.orders o JOIN public.customers c
        ON c.id = o.customer;
    INSERT INTO public.customers SELECT n, 'c' || n FROM generate_series(1, 20) AS n;
    INSERT INTO public.orders (customer, total) SELECT n, n FROM generate_series(1, 20) AS n;
    INSERT INTO public.lines SELECT n, n FROM generate_series(1, 20) AS n;
    INSERT INTO public.tmp_1 VALUES (1);
    INSERT INTO billing.invoices SELECT n, n FROM generate_series(1, 20) AS n;
    INSERT INTO billing.log SELECT n FROM generate_series(1, 150) AS n;
    INSERT INTO junk.things VALUES (1, 'x')";

/// One transaction over everything, in scope or not.
const CHANGES: &str = "
    BEGIN;
    INSERT INTO public.customers VALUES (100, 'new');
    INSERT INTO public.orders (customer, total) VALUES (100, 1), (1, 2);
    UPDATE public.lines SET \"order\" = 21 WHERE id = 1;
    DELETE FROM billing.invoices WHERE id = 2;
    INSERT INTO billing.log VALUES (50 + 130), (0);
    INSERT INTO junk.things VALUES (2, 'y');
    INSERT INTO public.tmp_2 VALUES (2);
    COMMIT";

async fn world() -> Scene {
    let major = any_major();
    Scene::new(major, major).await.with(WORLD)
}

/// The target's tables, as the source has them; all others stayed.
async fn assert_moved(scene: &Scene, tables: &[&str]) {
    let (source, target) = (scene.on_source().await, scene.on_target().await);
    let mut on_source = fingerprint(&source, &[]).await;
    on_source.retain(|name, _| tables.contains(&name.replace('"', "").as_str()));
    assert_eq!(on_source.len(), tables.len(), "{tables:?}");
    let on_target = fingerprint(&target, &[]).await;
    assert_eq!(on_source, on_target);
}

/// What is published on the source, before and after the run.
fn published(scene: &Scene) -> String {
    scene.source_says(
        "SELECT string_agg(p.name, ' ' ORDER BY p.name)
         FROM (SELECT schemaname || '.' || tablename AS name FROM pg_publication_tables) AS p",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_included_and_not_excluded_moves_and_a_cut_foreign_key_is_said() {
    skip_unless_available!(any_major());
    let scene = world().await;
    let tables = [
        "billing.log_1",
        "billing.log_2",
        "public.lines",
        "public.orders",
    ];
    let ran = scene
        .done(&[
            "run",
            "--until",
            "following",
            "--include",
            "public.*",
            "--include",
            "billing.log",
            "--exclude",
            "public.tmp_*",
            "--exclude",
            "public.customers",
        ])
        .await;
    let ran = ran.expect_said(&[
        "warning: FK CONSTRAINT public.orders orders_to_customers was left out: \
         it needs TABLE public.customers",
        "warning: VIEW public.both was left out",
    ]);
    assert!(
        !ran.stderr.contains("lines_to_orders was left out"),
        "{ran}"
    );
    assert_eq!(
        published(&scene),
        "billing.log_1 billing.log_2 public.lines public.orders"
    );
    scene.source_says(CHANGES);
    // What `run` was told is known to later commands.
    scene.done(&["run", "--until", "verified"]).await;
    assert_moved(&scene, &tables).await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    // The partitioned table is compared as its partitions.
    assert_eq!(
        report["tables"].as_array().map(Vec::len),
        Some(4),
        "{report:#}"
    );
    assert_moved(&scene, &tables).await;
    let keys =
        "SELECT string_agg(conname, ' ' ORDER BY conname) FROM pg_constraint WHERE contype = 'f'";
    assert_eq!(scene.target_says(keys), "lines_to_orders");
    let sequence = "SELECT last_value, is_called FROM public.orders_id_seq";
    assert_eq!(scene.target_says(sequence), scene.source_says(sequence));
    scene.done(&["complete"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_file_is_read_as_it_is() {
    skip_unless_available!(any_major());
    let scene = world().await;
    let filters = scene.path("filters.ini");
    let text = "; as pgcopydb has them\n[exclude-schema]\njunk\n\n[exclude-table]\n\
                public.~/^tmp_/\n\n[exclude-index]\npublic.orders_by_total\n\n\
                [exclude-table-data]\nbilling.invoices\n";
    fs::write(&filters, text).expect("the filters are written");
    let filters = filters.display().to_string();
    scene
        .done(&["run", "--until", "following", "--filters", &filters])
        .await;
    scene.source_says(CHANGES);
    scene.done(&["run", "--until", "verified"]).await;
    assert_eq!(
        scene.target_says("SELECT count(*) FROM billing.invoices"),
        "0"
    );
    let there = "SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c \
                 JOIN pg_namespace n ON n.oid = relnamespace \
                 WHERE nspname IN ('public', 'billing', 'junk') AND relkind IN ('r', 'p', 'v')";
    assert_eq!(
        scene.target_says(there),
        "both customers invoices lines log log_1 log_2 orders"
    );
    let index = "SELECT to_regclass('public.orders_by_total') IS NULL";
    assert_eq!(scene.target_says(index), "t");
    scene.source_says("DELETE FROM billing.invoices");
    scene.source_says("DROP TABLE junk.things, public.tmp_1, public.tmp_2");
    let (source, target) = (scene.on_source().await, scene.on_target().await);
    assert_same_contents(&source, &target).await;
    drop((source, target));
    scene.done(&["cutover"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_plan_file_names_is_what_a_clone_copies() {
    skip_unless_available!(any_major());
    let mut scene = world().await;
    scene.plan("[tables]\ninclude = [\"public.orders\", \"public.customers\"]\n");
    let ran = scene.done(&["clone"]).await;
    assert!(!ran.stderr.contains("left out"), "{ran}");
    assert_moved(&scene, &["public.customers", "public.orders"]).await;
    let keys = "SELECT conname FROM pg_constraint WHERE contype = 'f'";
    assert_eq!(scene.target_says(keys), "orders_to_customers");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('billing', 'junk')";
    assert_eq!(scene.target_says(schemas), "0");
}
