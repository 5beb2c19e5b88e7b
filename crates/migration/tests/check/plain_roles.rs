//! Roles made with exactly what SECURITY.md and the generated script say find no blocker.

use trunkline_changes::Side;
use trunkline_migration::checks::{self, Severity, Verdict};
use trunkline_migration::scripts;
use trunkline_testkit::{any_major, skip_unless_available};

use crate::pairs::{codes, documented_role, examine, good_pair, security_sql, session};

async fn the_documented_roles_suffice(source: u32, target: u32) {
    let (source, target) = good_pair(source, target);
    for (side, cluster) in [(Side::Source, &source), (Side::Target, &target)] {
        cluster.psql("app", &documented_role(side, cluster.major()));
    }
    let findings = examine(&source, &target, |_| {}).await;
    let older = source.major() > target.major();
    let expected = older
        .then(|| "target-older@target".to_owned())
        .into_iter()
        .collect();
    assert_eq!(
        codes(&findings, Severity::Warning),
        expected,
        "{}",
        checks::render(&findings)
    );
    assert!(checks::verdict(&findings).may_go_on());
    let notices = codes(&findings, Severity::Notice);
    for code in [
        "generated-columns",
        "identity-columns",
        "full-identity",
        "no-equality",
        "sequences",
        "size",
    ] {
        assert!(
            notices.contains(&format!("{code}@source")),
            "{code}: {notices:?}"
        );
    }
    if target.major() != 18 {
        assert!(notices.contains("pg-dump-newer"), "{notices:?}");
    }
    target.psql("app", "SET ROLE trunkline; CREATE TABLE public.kept ()");
    for cluster in [&source, &target] {
        cluster.psql("app", security_sql("afterwards"));
        assert_eq!(
            cluster.psql(
                "app",
                "SELECT count(*) FROM pg_roles WHERE rolname = 'trunkline'"
            ),
            "0"
        );
    }
    assert_eq!(
        target.psql("app", "SELECT to_regclass('public.kept')::text"),
        "kept"
    );
    assert_eq!(
        source.psql("app", "SELECT to_regclass('public.orders')::text"),
        "orders"
    );
}

#[tokio::test]
async fn roles_made_with_the_documented_sql_suffice_from_12_to_15() {
    skip_unless_available!(12, 15);
    the_documented_roles_suffice(12, 15).await;
}

#[tokio::test]
async fn roles_made_with_the_documented_sql_suffice_from_15_to_18() {
    skip_unless_available!(15, 18);
    the_documented_roles_suffice(15, 18).await;
}

#[tokio::test]
async fn roles_made_with_the_documented_sql_suffice_from_18_to_14() {
    skip_unless_available!(18, 14);
    the_documented_roles_suffice(18, 14).await;
}

#[tokio::test]
async fn roles_made_with_the_generated_script_suffice() {
    let major = any_major();
    skip_unless_available!(major);
    let (source, target) = good_pair(major, major);
    let (mut from, mut to) = (
        session(&source, "postgres", "app").await,
        session(&target, "postgres", "app").await,
    );
    let source_facts = scripts::role_facts(&mut from, &|_| true)
        .await
        .expect("facts");
    let target_facts = scripts::target_role_facts(&mut to, &source_facts)
        .await
        .expect("facts");
    from.close().await;
    to.close().await;
    source.psql(
        "app",
        &scripts::role(Side::Source, "trunkline", &source_facts),
    );
    target.psql(
        "app",
        &scripts::role(Side::Target, "trunkline", &target_facts),
    );
    let findings = examine(&source, &target, |_| {}).await;
    assert_eq!(
        checks::verdict(&findings),
        Verdict::Ready,
        "{}",
        checks::render(&findings)
    );
}
