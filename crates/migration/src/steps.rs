//! What a run would do, said without doing it.

use std::collections::BTreeSet;

use trunkline_changes::Side;
use trunkline_load::{Layout, Naming, Renames, Table, TableKind};
use trunkline_postgres::{OnSide, Session};

use crate::error::Error;
use crate::fence::{self, Strength};
use crate::phases::publishing;
use crate::plan::{
    Plan, PositionFrom, RowsBy, Seed, Snapshot, StructurePlan, SubscriptionPlan, WayBack,
};
use crate::run::is_streamed;

/// The steps, a line each; statements on the source are marked as such.
pub(crate) async fn steps(plan: &Plan) -> Result<Vec<String>, Error> {
    if plan.route.replica().is_some() {
        return Ok(over_standby(plan).await);
    }
    let doing = "reading the tables";
    let mut source = Session::connect(&plan.source, "plan")
        .await
        .on(Side::Source, doing)?;
    let tables = trunkline_load::tables(&mut source, &plan.scope).await?;
    let major = source.version().major();
    let left_out = plan.transform.examine(&mut source, &tables).await?;
    source.close().await;
    let layout = Layout::new(&plan.transform, &tables, Naming::Final);
    let streamed = tables.iter().filter(|table| is_streamed(table)).count();
    let mut steps = vec![
        format!(
            "move `{}` from {} to {}",
            plan.name,
            plan.source.label(),
            plan.target.label()
        ),
        "check both servers; stop at a blocker".to_owned(),
        "target: CREATE SCHEMA trunkline (journal, ledger, progress)".to_owned(),
    ];
    if plan.seed != Seed::Copy {
        "this machine: a journal in the migration's folder, until the target can hold it (CREATE \
         SCHEMA trunkline)"
            .clone_into(&mut steps[2]);
    }
    let name = format!("trunkline_{}_<id>", plan.name);
    let mut made = publishing::statements(plan, &name, &layout, (&tables, major));
    let last = made.pop().unwrap_or_default();
    steps.extend(made.into_iter().map(|sql| format!("source: {sql}")));
    match &plan.relay {
        None => steps.push(format!("source: {last}")),
        Some(relay) => {
            let label = relay.server.label();
            steps.extend(making_steps(plan));
            steps.push(format!("relay ({label}, a standby of the source): {last}"));
            steps.push(
                "relay: rows and changes are read there, rows under snapshots of temporary slots \
                 that several tables share for five minutes; the source decodes nothing, and is \
                 asked for pg_log_standby_snapshot() when a slot on the relay waits for it"
                    .to_owned(),
            );
        }
    }
    match plan.seed.snapshot() {
        Some(snapshot) => steps.extend(seed_steps(plan, snapshot)),
        None => steps.extend(copy_steps(plan, &tables, left_out)),
    }
    match plan.route.subscription() {
        Some(subscription) => subscription_steps(plan, subscription, &name, streamed, &mut steps),
        None => steps.push(format!("follow the changes of {streamed} tables")),
    }
    if plan.seed == Seed::Copy {
        steps.push(
            "target: once what changed during the copy is applied, foreign keys NOT VALID, then \
             validated; triggers, views, the rest"
                .to_owned(),
        );
    }
    steps.extend(renames(plan, &tables));
    let slots_on = plan.relay.as_ref().map_or("source", |_| "relay");
    steps.push(format!(
        "{slots_on}: a temporary slot for each comparison; source: markers by \
         pg_logical_emit_message"
    ));
    cutover_steps(plan, &mut steps).await;
    Ok(steps)
}

/// Structure and rows, read from the source's tables.
fn copy_steps<W: std::fmt::Display>(
    plan: &Plan,
    tables: &[Table],
    left_out: impl IntoIterator<Item = W>,
) -> Vec<String> {
    let mut steps = Vec::new();
    let rows: u64 = tables.iter().map(|table| table.estimated_rows).sum();
    let bytes: u64 = tables.iter().map(Table::bytes).sum();
    let with_rows = tables
        .iter()
        .filter(|table| table.kind == TableKind::Ordinary)
        .count();
    steps.push(match plan.structure {
        StructurePlan::Restore { .. } => {
            "target: restore the structure (pg_dump, pg_restore) up to the rows".to_owned()
        }
        StructurePlan::Present => "target: use the tables that stand there".to_owned(),
    });
    let rules = plan.transform.describe().into_iter();
    steps.extend(rules.map(|rule| format!("on the way: {rule}")));
    let left_out = left_out.into_iter();
    steps.extend(left_out.map(|what| format!("target: left out with its column: {what}")));
    if let Some(subscription) = plan.route.subscription()
        && subscription.rows == RowsBy::Subscription
    {
        return steps;
    }
    steps.push(format!(
        "copy {with_rows} tables, about {rows} rows and {} MB, {} at a time{}; build indexes, {} \
         at a time, as soon as a table's rows are in",
        bytes >> 20,
        plan.copy.jobs,
        match plan.relay {
            None => ", each under a short snapshot of its own",
            Some(_) => "",
        },
        plan.copy.index_jobs
    ));
    steps
}

/// A physical copy in place of both.
fn seed_steps(plan: &Plan, snapshot: &Snapshot) -> Vec<String> {
    let mut steps = Vec::new();
    match snapshot {
        Snapshot::BaseBackup(made) => {
            steps.push(format!(
                "this machine: pg_basebackup of the source's whole server into {}; recovered \
                 until it is consistent, and its position read there",
                made.data_directory.display()
            ));
        }
        Snapshot::Operator(from) => {
            steps.push("wait until somebody has made a copy of the source's storage".to_owned());
            steps.push(match from {
                None => "its position is not in the plan yet: `run` ends there, and goes on with \
                         a plan that says it"
                    .to_owned(),
                Some(PositionFrom::Given(at)) => format!("the copy's position is {at}"),
                Some(PositionFrom::Log(path)) => {
                    format!("the copy's position is read from {}", path.display())
                }
                Some(PositionFrom::Aurora) => {
                    "target: SELECT aurora_volume_logical_start_lsn()".to_owned()
                }
                Some(PositionFrom::Rds) => "target: SELECT rds_tools.logical_seed_lsn()".to_owned(),
            });
        }
    }
    steps.push(
        "rows that changed around the position are looked for on the copy: a position that they \
         contradict is refused"
            .to_owned(),
    );
    steps.push(
        "target: slots, subscriptions, prepared transactions and our publication, which came \
         along, are removed"
            .to_owned(),
    );
    if let Snapshot::BaseBackup(made) = snapshot {
        if let Some(major) = made.upgrade_to {
            steps.push(format!("this machine: pg_upgrade of the copy to {major}"));
        }
        steps.push(format!(
            "this machine: start the new server, {}",
            plan.target.label()
        ));
    }
    steps
}

/// A standby that we make: the target of that route, or a relay.
fn making_steps(plan: &Plan) -> Vec<String> {
    let Some((made, reached)) = plan.made_standby() else {
        return Vec::new();
    };
    let ends = match plan.relay {
        Some(_) => "`trunkline complete` and `abort` remove the relay and its slot",
        None => "after the switch its slot is dropped; the server stays, unless `abort` removes it",
    };
    vec![
        "source: SELECT pg_create_physical_replication_slot('trunkline_<id>_p', true)".to_owned(),
        format!(
            "this machine: pg_basebackup of the source's whole server into {}; started as a \
             standby that streams from that slot, {}",
            made.data_directory.display(),
            reached.label()
        ),
        ends.to_owned(),
    ]
}

/// The same on the route over a standby.
async fn over_standby(plan: &Plan) -> Vec<String> {
    let mut steps = vec![
        format!(
            "move `{}` from {} to its standby {}",
            plan.name,
            plan.source.label(),
            plan.target.label()
        ),
        "check both servers; stop at a blocker".to_owned(),
        "begin the journal as a file in the migration's folder: the target cannot be written yet"
            .to_owned(),
    ];
    steps.extend(making_steps(plan));
    steps.extend([
        format!(
            "watch the standby until it is near, within {} bytes for two seconds",
            plan.cutover.max_lag_bytes
        ),
        "read every table on both sides; what differs is looked at again".to_owned(),
    ]);
    if plan.cutover.way_back == WayBack::Open {
        steps.push(
            "before the cutover, for the way back: source: CREATE SCHEMA trunkline (progress)"
                .to_owned(),
        );
    }
    hold_and_fence(plan, &mut steps).await;
    steps.push(
        "source: a marker; wait until the standby has replayed it; compare once more, no sequence \
         may be behind, look at the fence again"
            .to_owned(),
    );
    if let Some(command) = plan
        .route
        .replica()
        .and_then(|plan| plan.lag_command.as_ref())
    {
        steps.push(format!(
            "this machine: `{command}` until the lag that it prints was 0, and is again, and never \
             above 64 MiB in between"
        ));
    }
    steps.push("target: SELECT pg_promote(true, …); from here on it is no standby".to_owned());
    if plan.cutover.way_back == WayBack::Open {
        steps.push("target: for the way back, a publication and a slot".to_owned());
    }
    steps.push(
        "target: unlogged tables copied, slots of other consumers made again, smoke tests"
            .to_owned(),
    );
    switch_steps(plan, &mut steps);
    steps
}

/// What the target's own following does.
fn subscription_steps(
    plan: &Plan,
    subscription: &SubscriptionPlan,
    name: &str,
    streamed: usize,
    steps: &mut Vec<String>,
) {
    let publication = match &plan.publication {
        Some(given) => trunkline_changes::quote_ident(given),
        None => format!("{name} (and {name}_i for tables that are only inserted into)"),
    };
    let reached = subscription.connection.label();
    steps.push(match subscription.rows {
        RowsBy::Subscription => format!(
            "target: keys and unique indexes; then CREATE SUBSCRIPTION {name} to {reached}, \
             PUBLICATION {publication}, with slot {name} and copy_data: it copies and follows \
             {streamed} tables; then the other indexes"
        ),
        RowsBy::Trunkline => format!(
            "follow to one position behind the copy; there target: CREATE SUBSCRIPTION {name} to \
             {reached}, PUBLICATION {publication}, with slot {name}: it follows {streamed} tables"
        ),
    });
    steps.push(
        "for each comparison and in the pause: target: ALTER SUBSCRIPTION … DISABLE, and for a \
         comparison Trunkline itself applies what is left to one position; then ENABLE"
            .to_owned(),
    );
}

fn renames(plan: &Plan, tables: &[Table]) -> Option<String> {
    let StructurePlan::Restore { .. } = plan.structure else {
        return None;
    };
    let renames = Renames::new(&plan.transform, tables, &BTreeSet::new());
    (!renames.is_empty()).then(|| {
        format!(
            "target: then, in one transaction, rename {} tables and {} columns",
            renames.tables.len(),
            renames.columns.len()
        )
    })
}

async fn cutover_steps(plan: &Plan, steps: &mut Vec<String>) {
    if plan.cutover.way_back == WayBack::Open {
        steps.push(
            "before the cutover, for the way back: target: a publication and a slot; source: \
             CREATE SCHEMA trunkline (progress)"
                .to_owned(),
        );
    }
    hold_and_fence(plan, steps).await;
    steps.push(
        "drain to a barrier, compare once more, set every sequence and read it back, look again"
            .to_owned(),
    );
    switch_steps(plan, steps);
}

async fn hold_and_fence(plan: &Plan, steps: &mut Vec<String>) {
    let database = trunkline_changes::quote_ident(plan.source.database());
    let clients = plan.cutover.traffic.describe();
    steps.push(format!("cutover: hold clients ({clients})"));
    steps.push(match how_firmly(plan).await {
        Ok(Strength::Closed) => format!(
            "source, from database {}: ALTER DATABASE {database} WITH ALLOW_CONNECTIONS false; {}",
            plan.cutover.maintenance_database,
            Strength::Closed.describe(Side::Source)
        ),
        Ok(strength) => format!("fence: {}", strength.describe(Side::Source)),
        Err(error) => format!("fence: NOT POSSIBLE as it is: {error}"),
    });
}

fn switch_steps(plan: &Plan, steps: &mut Vec<String>) {
    let database = trunkline_changes::quote_ident(plan.source.database());
    steps.push(format!(
        "switch; or, after {:?}, give the source back as it was (exit code 7)",
        plan.cutover.max_pause
    ));
    steps.push(format!(
        "source: ALTER DATABASE {database} SET default_transaction_read_only = on, and only \
         Trunkline's role gets in, until `trunkline complete` restores both"
    ));
    if plan.cutover.way_back == WayBack::Open {
        steps.push(
            "follow the changes of the target back to the source, for `trunkline rollback`, until \
             `trunkline complete`"
                .to_owned(),
        );
    }
}

/// How firmly the source can be fenced by our role.
async fn how_firmly(plan: &Plan) -> Result<Strength, Error> {
    let side = Side::Source;
    let mut inside = Session::connect(&plan.source, "plan")
        .await
        .on(side, "connecting")?;
    let maintenance = plan
        .source
        .with_database(&plan.cutover.maintenance_database);
    let mut outside = Session::connect(&maintenance, "plan").await.ok();
    let strength = fence::strength(&mut inside, outside.as_mut(), side).await;
    inside.close().await;
    strength.map_err(|error| Error::Refused {
        why: error.to_string(),
        hint: String::new(),
    })
}
