//! What a role needs beside that because of the plan's route, for the same script.

use std::fmt::Write as _;

use trunkline_changes::{Side, quote_ident};
use trunkline_postgres::ServerVersion;

use crate::checks::subscription::ORIGIN_FUNCTIONS;
use crate::plan::{Plan, RowsBy};

/// The first version in which a role may be allowed to make subscriptions.
const MAKES_SUBSCRIPTIONS_FROM: u32 = 16;

/// Statements for one side, to be run after the role's own; empty on the stream route.
pub fn for_route(side: Side, name: &str, version: ServerVersion, plan: &Plan) -> String {
    let role = quote_ident(name);
    let mut lines = Vec::new();
    if side == Side::Source && plan.relay.is_some() {
        lines.push(format!(
            "-- or a slot on the relay waits up to 15 s\n\
             GRANT EXECUTE ON FUNCTION pg_catalog.pg_log_standby_snapshot() TO {role};"
        ));
    }
    if side == Side::Source && plan.route.replica().is_some() {
        lines.push(format!(
            "-- comes to the standby by the log, and is used there\n\
             GRANT EXECUTE ON FUNCTION pg_catalog.pg_promote(boolean, integer) TO {role};"
        ));
    }
    if let Some(subscription) = plan.route.subscription() {
        lines.push(match side {
            Side::Source => connects(subscription.connection.user(), name, plan),
            Side::Target => subscribes(&role, version, plan),
        });
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The role as which the target's server reads the source.
fn connects(user: &str, name: &str, plan: &Plan) -> String {
    if user == name {
        return "-- the subscription connects as this role, too".to_owned();
    }
    let role = quote_ident(user);
    let database = quote_ident(plan.source.database());
    let mut text = format!(
        "-- whom the subscription connects as; then give it a password\n\
         CREATE ROLE {role} LOGIN REPLICATION;\n\
         GRANT CONNECT ON DATABASE {database} TO {role};"
    );
    let copies = plan.route.subscription().map(|plan| plan.rows);
    if copies == Some(RowsBy::Subscription) {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n-- it copies the tables: USAGE on their schemas and SELECT on them; before 14 one \
             by one\nGRANT pg_read_all_data TO {role};"
        );
    }
    text
}

/// Our role, which makes the subscription.
fn subscribes(role: &str, version: ServerVersion, plan: &Plan) -> String {
    if version.major() < MAKES_SUBSCRIPTIONS_FROM {
        return format!(
            "-- before 16 only a superuser makes subscriptions\nALTER ROLE {role} SUPERUSER;"
        );
    }
    let database = quote_ident(plan.target.database());
    let mut text = format!(
        "GRANT pg_create_subscription TO {role};\n\
         GRANT CREATE ON DATABASE {database} TO {role};"
    );
    for function in ORIGIN_FUNCTIONS {
        // Writing to a String cannot fail.
        let _ = write!(text, "\nGRANT EXECUTE ON FUNCTION {function} TO {role};");
    }
    text
}
