//! `check`: both servers looked at, and nothing changed.

use trunkline_changes::{Side, TableName};
use trunkline_load::{Layout, Naming};
use trunkline_postgres::{OnSide, Session};

use super::seeded;
use crate::checks::{self, CheckInput, Finding, PgDump, Standing};
use crate::control::{self, file};
use crate::error::Error;
use crate::journal::{Object, State};
use crate::observer::Observer;
use crate::phases::{base_backup, copying};
use crate::plan::{Existing, Plan, Seed, StructurePlan, WayBack};
use crate::relay;
use crate::run::{Run, naming};
use crate::waiting;

/// The leg whose slot and publication a preflight may meet.
pub(super) const FIRST_LEG: u32 = 1;

/// The same on the route over a standby, until that is promoted.
async fn check_standby(plan: &Plan) -> Result<Vec<Finding>, Error> {
    let doing = "connecting to look around";
    let source = Session::connect(&plan.source, "check").await;
    let mut source = source.on(Side::Source, doing)?;
    let peeked = file::peek(&plan.dir)?;
    let state = peeked.as_ref().map(|peeked| &peeked.state);
    if let Some(findings) = check_making(plan, &mut source, state).await? {
        let company = checks::standby::examine_alone(plan, &mut source).await?;
        return Ok(checks::sorted(
            findings.into_iter().chain(company).collect(),
        ));
    }
    let target = Session::connect(&plan.target, "check").await;
    let mut target = target.on(Side::Target, doing)?;
    checks::standby::examine(plan, &mut source, &mut target).await
}

/// What can be said of a standby that we are to make, before there is one; `None` where one
/// stands, or where it is not ours to make.
async fn check_making(
    plan: &Plan,
    source: &mut Session,
    state: Option<&State>,
) -> Result<Option<Vec<Finding>>, Error> {
    let Some((made, reached)) = plan.made_standby() else {
        return Ok(None);
    };
    let answers = match Session::connect(reached, "check").await {
        Ok(session) => {
            session.close().await;
            true
        }
        // A server that is fenced, or starts, is one.
        Err(error) => error.sqlstate().is_some(),
    };
    let receipt = base_backup::receipt(made);
    let begun = state.is_some_and(|state| state.receipts.contains(&receipt) && !state.spent);
    if begun && answers {
        return Ok(None);
    }
    let instance = base_backup::instance(made, source.version().major()).await;
    let question = checks::making::Question {
        trouble: instance
            .err()
            .map(|error| (error.to_string(), error.hint())),
        // Whoever answers before anything was made is somebody else.
        taken: (answers && state.is_none_or(|state| !state.receipts.contains(&receipt)))
            .then(|| reached.label()),
        has_slot: state.is_some_and(|state| state.physical_slot().is_some()),
    };
    Ok(Some(checks::making::examine(source, &question).await?))
}

/// Looks at both servers: every finding, the gravest first. Whom it waits for is told.
pub async fn check(
    plan: &Plan,
    live: bool,
    observer: &dyn Observer,
) -> Result<Vec<Finding>, Error> {
    waiting::told(plan, observer, Box::pin(findings(plan, live))).await
}

/// The same for a live move under way, which may be told to stop: nothing is changed.
pub(crate) async fn looked(run: &Run<'_>) -> Result<Vec<Finding>, Error> {
    tokio::select! {
        found = check(run.plan, true, run.observer) => found,
        () = run.cancel.cancelled() => Err(Error::Interrupted(run.control.state().phase)),
    }
}

async fn findings(plan: &Plan, live: bool) -> Result<Vec<Finding>, Error> {
    let doing = "connecting to look around";
    if plan.route.replica().is_some() && !file::has_moved(&plan.dir)? {
        return check_standby(plan).await;
    }
    let mut source = Session::connect(&plan.source, "check")
        .await
        .on(Side::Source, doing)?;
    let in_file = file::peek(&plan.dir)?.map(|peeked| (peeked.identity, peeked.state));
    let seed_found = in_file
        .as_ref()
        .is_some_and(|(_, state)| state.seed.is_some());
    if plan.begins_in_file() && !seed_found && !target_is_ours(plan).await {
        return Ok(seeded::check_source(plan, &mut source, in_file).await?);
    }
    let mut target = Session::connect(&plan.target, "check")
        .await
        .on(Side::Target, doing)?;
    let own = match in_file {
        Some(own) => Some(own),
        None => control::peek(&mut target, &plan.name).await?,
    };
    let own_name = own
        .as_ref()
        .map(|(identity, _)| identity.object_name(FIRST_LEG));
    // What is missing or too old is a finding of its own.
    let programs = trunkline_load::Programs::find(source.version(), target.version(), &[]);
    let programs = match programs.await {
        Ok(programs) => Some(programs),
        Err(_) => trunkline_load::Programs::newest().await,
    };
    // A filter that matches nothing is the plan's error, not a finding.
    let tables = trunkline_load::tables(&mut source, &plan.scope).await?;
    plan.validation.refuse_unmatched(&tables)?;
    let left_out = plan.transform.examine(&mut source, &tables).await?;
    if let Some(insert_only) = &plan.insert_only {
        trunkline_load::tables(&mut source, insert_only).await?;
    }
    let scope = |table: &TableName| plan.scope.covers_table(table);
    let insert_only = |table: &TableName| {
        plan.insert_only
            .as_ref()
            .is_some_and(|scope| scope.covers_table(table))
    };
    let options = copying::load_options(plan);
    // Once our structure stands on the target, it is what is examined there.
    let restored = own
        .as_ref()
        .is_some_and(|(_, state)| state.receipts.contains(&Object::Structure));
    let (structure, drop_if_exists) = match plan.structure {
        _ if plan.seed != Seed::Copy => (false, false),
        StructurePlan::Restore { existing, .. } if !restored => (true, existing == Existing::Drop),
        StructurePlan::Restore { .. } | StructurePlan::Present => (false, false),
    };
    let state = own.as_ref().map(|(_, state)| state);
    // Before it is restored, the names that it will have are looked for.
    let names = match state {
        Some(state) if !structure => naming(plan, state),
        _ => Naming::Final,
    };
    let layout = Layout::new(&plan.transform, &tables, names);
    let switched = state.is_some_and(|state| state.phase.is_switched());
    let own_subscription = state.and_then(|state| state.subscription());
    let keyed = state.is_some_and(|state| state.phase.has_rows());
    let stands = plan.structure == StructurePlan::Present || plan.seed != Seed::Copy;
    let tables_on_target = if keyed || stands {
        Standing::There
    } else {
        Standing::NotYet
    };
    let input = CheckInput {
        source: &mut source,
        target: &mut target,
        scope: &scope,
        live,
        drop_if_exists,
        structure,
        no_owner: options.no_owner,
        no_privileges: options.no_privileges,
        maintenance_database: &plan.cutover.maintenance_database,
        insert_only: &insert_only,
        pg_dump: programs.map(|programs| PgDump {
            path: programs.pg_dump,
            version: programs.version,
        }),
        decoder: plan.decoder,
        own_slot: own_name.as_deref(),
        own_publication: plan.publication.as_deref().or(own_name.as_deref()),
        relayed: plan.relay.is_some(),
        downstream: &plan.downstream,
        // One that stands needs no further worker, and has shown that it can be made.
        subscription: match own_subscription {
            Some(_) => None,
            None => plan.route.subscription(),
        },
        own_subscription,
        own_control_schema: own.is_some(),
        way_back: plan.cutover.way_back == WayBack::Open && !switched,
        tables_on_target,
        ddl: plan.ddl,
        place: &|table| layout.place(table).clone(),
        placed: &|table| layout.source_of(table).cloned(),
    };
    let mut findings = checks::examine(input).await?;
    let ours = checks::transform::examine(&mut source, plan, &tables, &left_out, live).await?;
    findings.extend(ours);
    if live {
        let state = own.as_ref().map(|(_, state)| state);
        findings.extend(match check_making(plan, &mut source, state).await? {
            Some(found) => found,
            None => check_relay(plan, &mut source, own_name.as_deref()).await?,
        });
    }
    Ok(checks::sorted(findings))
}

async fn check_relay(
    plan: &Plan,
    source: &mut Session,
    own_slot: Option<&str>,
) -> Result<Vec<Finding>, Error> {
    let Some(on_relay) = &plan.relay else {
        return Ok(Vec::new());
    };
    let mut session = relay::connect(&on_relay.server, "check").await?;
    let question = checks::relay::Question {
        slot: on_relay.slot.as_deref(),
        own_slot,
    };
    let found = checks::relay::examine(source, &mut session, &question).await?;
    session.close().await;
    Ok(found)
}

/// Whether the target has this migration's journal: before that, a physical copy is not made.
async fn target_is_ours(plan: &Plan) -> bool {
    let Ok(mut target) = Session::connect(&plan.target, "check").await else {
        return false;
    };
    matches!(control::peek(&mut target, &plan.name).await, Ok(Some(_)))
}
