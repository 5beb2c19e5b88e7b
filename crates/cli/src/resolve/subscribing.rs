//! What the plan says of the route, and of the subscription where that is the route.

use trunkline_load::Transform;
use trunkline_migration::Error;
use trunkline_migration::plan::{Route, RowsBy, SubscriptionPlan};
use trunkline_postgres::Conninfo;

use super::{conninfo, one_of, plan_error, replica};
use crate::plan_file::{PlanFile, ReplicaTable, SubscriptionTable};

pub(super) fn route(
    file: &mut PlanFile,
    source: &Conninfo,
    target: &Conninfo,
    transform: &Transform,
) -> Result<Route, Error> {
    let value = file.migration.route.as_deref();
    one_of("route", value, &["stream", "subscription", "replica"])?;
    if value != Some("subscription") {
        if file.subscription != SubscriptionTable::default() {
            return Err(plan_error(
                "the plan has a table [subscription], and another route",
                "put `route = \"subscription\"` into [migration], or take the table out",
            ));
        }
        return replica::stream_or_replica(file, target.first_host().1);
    }
    if file.replica != ReplicaTable::default() {
        return Err(plan_error(
            "the plan has a table [replica], and another route",
            "put `route = \"replica\"` into [migration], or take the table out",
        ));
    }
    if file.relay.is_some() {
        return Err(plan_error(
            "a subscription reads the source itself, and the plan has a table [relay]",
            "take [relay] out, or use the stream route",
        ));
    }
    if !transform.is_none() {
        return Err(plan_error(
            "a subscription changes nothing on the way, and the plan has a table [transform]",
            "take [transform] out, or use the stream route",
        ));
    }
    if file.seed.method.as_deref() == Some("snapshot") {
        return Err(plan_error(
            "a subscription and [seed] method = \"snapshot\" are both given",
            "take one of them out: after a storage copy the stream route follows",
        ));
    }
    let policy = file.apply.on_conflict.as_deref();
    if policy.is_some_and(|policy| policy != "stop") {
        return Err(plan_error(
            "a subscription knows no `on_conflict`: its server stops at a change that does not fit",
            "take `on_conflict` out, or use the stream route",
        ));
    }
    Ok(Route::Subscription(Box::new(subscription(
        &mut file.subscription,
        source,
    )?)))
}

fn subscription(
    table: &mut SubscriptionTable,
    source: &Conninfo,
) -> Result<SubscriptionPlan, Error> {
    let connection = match (&table.connection, &table.password_env) {
        (Some(text), password) => {
            let given = conninfo("[subscription] connection", text, password.as_deref())?;
            table.connection = Some(given.without_password());
            given
        }
        (None, Some(password)) => {
            let text = source.without_password();
            conninfo("[subscription]", &text, Some(password))?
        }
        (None, None) => source.clone(),
    };
    Ok(SubscriptionPlan {
        connection,
        rows: match table.copy_data {
            Some(false) => RowsBy::Trunkline,
            _ => RowsBy::Subscription,
        },
        binary: table.binary == Some(true),
    })
}
