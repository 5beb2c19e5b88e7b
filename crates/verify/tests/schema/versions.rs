//! The same script on servers of different versions: what they store is spelled differently,
//! and that is told from a change.

use trunkline_testkit::{Cluster, skip_unless_available};

use crate::scene::{OBJECTS, ROLES, differences, lines};

/// What 14 and 16 began to write in other words.
const RESPELT: &str = "
    CREATE TABLE app.respelt (
        v text DEFAULT substring('abc' from 1 for 2),
        t timestamp DEFAULT (now() AT TIME ZONE 'utc'),
        CHECK (extract(year FROM t) > 2000)
    );
    CREATE INDEX respelt_trim ON app.respelt (trim(v));
    CREATE VIEW app.of_one AS SELECT r.v, app.twice(length(r.v)) FROM app.respelt r WHERE r.v <> 'x';
    CREATE VIEW app.respelt_view AS SELECT overlay(v placing 'x' from 1) AS v FROM app.respelt;";

async fn only_spelling_differs(one: u32, two: u32, expected: &[&str]) {
    let (source, target) = (Cluster::start(one), Cluster::start(two));
    for server in [&source, &target] {
        server.psql("postgres", ROLES);
        server.psql("postgres", OBJECTS);
        server.psql("postgres", RESPELT);
        // Who may create in it by default changed with 15.
        server.psql("postgres", "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    }
    let found = differences(&source.uri("postgres"), &target.uri("postgres")).await;
    let certain: Vec<_> = found.iter().filter(|one| one.certain).cloned().collect();
    assert_eq!(lines(&certain), "");
    let objects: Vec<_> = found.iter().map(|one| one.object.as_str()).collect();
    assert_eq!(objects, expected);

    target.psql(
        "postgres",
        "ALTER TABLE app.respelt DROP CONSTRAINT respelt_t_check; \
         ALTER TABLE app.customers ALTER name SET DEFAULT 'no'; \
         ALTER TABLE app.people DROP CONSTRAINT people_born_check, \
             ADD CONSTRAINT people_born_check CHECK (born > '1801-01-01'); \
         CREATE OR REPLACE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql \
             AS 'BEGIN RETURN OLD; END'",
    );
    let found = differences(&source.uri("postgres"), &target.uri("postgres")).await;
    let certain = found.iter().filter(|one| one.certain);
    let certain: Vec<_> = certain.map(|one| one.object.as_str()).collect();
    assert_eq!(
        certain,
        [
            "app.customers.name",
            "app.people.people_born_check",
            "app.respelt.respelt_t_check",
            "app.staff.people_born_check",
            "app.stamp()",
        ]
    );
}

#[tokio::test]
async fn a_script_makes_the_same_in_12_and_18() {
    skip_unless_available!(12, 18);
    only_spelling_differs(
        12,
        18,
        &[
            "app.respelt.t",
            "app.respelt.v",
            "app.respelt.respelt_t_check",
            "app.respelt_trim",
            "app.respelt_view",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_script_makes_the_same_in_17_and_14() {
    skip_unless_available!(14, 17);
    only_spelling_differs(17, 14, &[]).await;
}
