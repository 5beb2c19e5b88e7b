//! What a subscription of the target needs, and what it does not carry. Whether the target
//! reaches the source, and our role may make one, is tried, and taken back.

use trunkline_changes::{Side, quote_ident};
use trunkline_postgres::{PgError, Session};

use super::finding::{Finding, all_on};
use super::replication::setting_remedy;
use super::{role, server};
use crate::error::Error;
use crate::plan::{RowsBy, SubscriptionPlan};
use crate::subscription;

/// Functions of the target by which changes are kept from being applied twice.
pub(crate) const ORIGIN_FUNCTIONS: [&str; 2] = [
    "pg_catalog.pg_replication_origin_progress(text, boolean)",
    "pg_catalog.pg_replication_origin_advance(text, pg_lsn)",
];

/// What the target says.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Functions that our role may not call.
    pub barred: Vec<&'static str>,
    /// Workers that apply for others.
    pub busy: i64,
    /// Origins of others.
    pub origins: i64,
    /// Why none can be made: what the target said, and what to do.
    pub impossible: Option<(String, Option<String>)>,
}

pub(super) async fn read(
    target: &mut Session,
    plan: &SubscriptionPlan,
    same_server: bool,
) -> Result<Facts, PgError> {
    let mut facts = Facts::default();
    for function in ORIGIN_FUNCTIONS {
        let sql = "SELECT pg_catalog.has_function_privilege($1, 'EXECUTE')";
        let may: bool = target.query_one(sql, &[&function]).await?.get(0)?;
        if !may {
            facts.barred.push(function);
        }
    }
    let sql = "SELECT (SELECT count(pid) FROM pg_catalog.pg_stat_subscription), \
                      (SELECT count(*) FROM pg_catalog.pg_replication_origin)";
    let row = target.query_one(sql, &[]).await?;
    (facts.busy, facts.origins) = (row.get(0)?, row.get(1)?);
    if !same_server {
        let connection = plan.connection.for_another_server();
        let tried = subscription::status::rehearse(target, &connection).await;
        facts.impossible = tried.err().map(|error| {
            let error: Error = subscription::refused(plan, error);
            (error.to_string(), error.hint())
        });
    }
    Ok(facts)
}

/// Whether both are databases of one server. What is hidden is another server.
pub(super) fn is_same_server(source: &server::Facts, target: &server::Facts) -> bool {
    source.system_id.is_some() && source.system_id == target.system_id
}

pub(super) fn judge(
    facts: &Facts,
    plan: &SubscriptionPlan,
    source: &server::Facts,
    target: &server::Facts,
    role: &role::Facts,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if is_same_server(source, target) {
        let message = "both databases are of one server: a subscription there can wait for itself \
                       for ever; use `route = \"stream\"`";
        findings.push(Finding::blocker("subscription-same-server", message));
    }
    if let Some((why, hint)) = &facts.impossible {
        let finding = Finding::blocker("subscription-impossible", why.clone()).on(Side::Target);
        findings.push(match hint {
            Some(hint) => finding.mend(format!("-- {hint}")),
            None => finding,
        });
    }
    for function in &facts.barred {
        let message =
            format!("our role may not call {function}, which tells how far a subscription is");
        let remedy = format!(
            "GRANT EXECUTE ON FUNCTION {function} TO {};",
            quote_ident(&role.name)
        );
        findings.push(
            Finding::blocker("subscription-origin", message)
                .on(Side::Target)
                .mend(remedy),
        );
    }
    let majors = (source.version.major(), target.version.major());
    if plan.binary && majors.0.min(majors.1) < 14 {
        let message = "`binary = true` needs version 14 or later on both sides";
        findings.push(Finding::blocker("subscription-binary", message));
    }
    findings.extend(workers(facts, plan, target));
    findings.push(Finding::notice("subscription-carries", carries(plan)));
    findings
}

fn carries(plan: &SubscriptionPlan) -> String {
    let copied = match plan.rows {
        RowsBy::Subscription => "copies and streams",
        RowsBy::Trunkline => "streams",
    };
    format!(
        "the subscription {copied} tables. Trunkline carries what it does not: sequences and \
         unlogged tables in the pause, large objects before. DDL is not carried. A change whose row \
         is missing on the target is left out silently: `trunkline verify` finds it, and the \
         cutover is refused. Rows are not validated while they change"
    )
}

/// One process applies; another copies, if the subscription is to.
fn workers(facts: &Facts, plan: &SubscriptionPlan, target: &server::Facts) -> Vec<Finding> {
    let copies = plan.rows == RowsBy::Subscription;
    let settings = &target.settings;
    let mut findings = Vec::new();
    let wanted = if copies { 2 } else { 1 };
    let name = "max_logical_replication_workers";
    if let Some(limit) = settings.number(name)
        && limit < facts.busy + wanted
    {
        let message = format!(
            "{wanted} workers are wanted for the subscription, and {} of {limit} are in use",
            facts.busy
        );
        let remedy = setting_remedy(target, name, &(facts.busy + wanted + 2).to_string(), true);
        findings.push(
            Finding::blocker("subscription-workers", message)
                .about(name)
                .mend(remedy),
        );
    }
    let name = "max_sync_workers_per_subscription";
    if copies && settings.number(name) == Some(0) {
        let message = "no worker may copy the rows of a table";
        let remedy = setting_remedy(target, name, "2", false);
        findings.push(
            Finding::blocker("subscription-workers", message)
                .about(name)
                .mend(remedy),
        );
    }
    // Each table that is copied has an origin of its own for a while.
    let name = if target.version.major() >= 18 {
        "max_active_replication_origins"
    } else {
        "max_replication_slots"
    };
    if let Some(limit) = settings.number(name)
        && limit < facts.origins + wanted
    {
        let message = format!(
            "{wanted} replication origins are wanted on the target, and {} of {limit} are in use",
            facts.origins
        );
        let remedy = setting_remedy(target, name, &(limit + 10).to_string(), true);
        findings.push(
            Finding::blocker("subscription-origins", message)
                .about(name)
                .mend(remedy),
        );
    }
    all_on(findings, Side::Target)
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::*;
    use trunkline_postgres::Conninfo;

    fn plan(rows: RowsBy) -> SubscriptionPlan {
        SubscriptionPlan {
            connection: Conninfo::resolve("host=source user=u dbname=d").expect("settings"),
            rows,
            binary: false,
        }
    }

    fn target(settings: &[(&str, &str, &str)]) -> server::Facts {
        server::Facts {
            settings: Settings::of(settings),
            system_id: Some("2".to_owned()),
            ..server::example(170_000)
        }
    }

    fn codes(facts: &Facts, rows: RowsBy, target: &server::Facts) -> Vec<&'static str> {
        let source = server::Facts {
            system_id: Some("1".to_owned()),
            ..server::example(150_000)
        };
        let found = judge(facts, &plan(rows), &source, target, &role::example());
        found.into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_target_with_room_only_says_what_is_not_carried() {
        let roomy = target(&[("max_logical_replication_workers", "4", "")]);
        let found = codes(&Facts::default(), RowsBy::Subscription, &roomy);
        assert_eq!(found, ["subscription-carries"]);
    }

    #[test]
    fn workers_that_are_wanting_are_named() {
        let narrow = target(&[
            ("max_logical_replication_workers", "1", ""),
            ("max_sync_workers_per_subscription", "0", ""),
            ("max_replication_slots", "1", ""),
        ]);
        let found = codes(&Facts::default(), RowsBy::Subscription, &narrow);
        let workers = "subscription-workers";
        let origins = "subscription-origins";
        assert_eq!(found, [workers, workers, origins, "subscription-carries"]);
        let found = codes(&Facts::default(), RowsBy::Trunkline, &narrow);
        assert_eq!(found, ["subscription-carries"], "nothing is copied by it");
    }

    #[test]
    fn a_database_of_the_same_server_is_refused() {
        let same = server::Facts {
            system_id: Some("1".to_owned()),
            ..target(&[])
        };
        let found = codes(&Facts::default(), RowsBy::Trunkline, &same);
        assert_eq!(found[0], "subscription-same-server");
    }

    #[test]
    fn functions_that_are_barred_come_with_their_grant() {
        let facts = Facts {
            barred: ORIGIN_FUNCTIONS.to_vec(),
            impossible: Some(("no".to_owned(), None)),
            ..Facts::default()
        };
        let found = codes(&facts, RowsBy::Trunkline, &target(&[]));
        let origin = "subscription-origin";
        assert_eq!(found[..3], ["subscription-impossible", origin, origin]);
    }
}
