//! Where a migration stands, read without holding it.

mod arrival;
mod ddl;
mod in_file;
mod next;
mod numbers;
mod relayed;

use serde::Serialize;
use trunkline_changes::{Lsn, Side};
use trunkline_postgres::{OnSide, Session};

pub use arrival::{Arrival, FollowStatus};
pub use ddl::DdlStatus;
pub use next::next_steps;
pub use relayed::{RelayState, RelayStatus};

use crate::baseline::{self, Latency, Reach};
use crate::commands::reopening;
use crate::control::{self, Identity, away};
use crate::error::Error;
use crate::journal::State;
use crate::phase::Phase;
use crate::plan::Plan;
use crate::relay;
use crate::report::SCHEMA_VERSION;
use crate::subscription;
use crate::subscription::status::SubscriptionStatus;
use crate::validation::{self, ValidationStatus};
use crate::way::Way;
use numbers::{Applied, TargetNumbers, Written, applied, target_numbers, written};

/// The report of `status`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatusReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The migration.
    pub migration: String,
    /// Where it stands.
    pub phase: Phase,
    /// The side that serves the clients.
    pub serves: Side,
    /// Whether a process works on it now.
    pub held: bool,
    /// Bytes of the serving side's log that are not on the other side; unknown before the
    /// copy ends, and after a switch without a way back.
    pub lag_bytes: Option<u64>,
    /// Age of the last transaction on the other side while there is lag, in seconds.
    pub lag_seconds: Option<f64>,
    /// The relay through which changes come; none without one, and after the switch.
    pub relay: Option<RelayStatus>,
    /// Bytes of log that the serving side keeps for us: for the relay, where there is one.
    pub wal_kept_bytes: Option<u64>,
    /// Rows copied.
    pub rows_copied: u64,
    /// Rows to copy, as the source's statistics estimate them.
    pub rows_total: u64,
    /// Rows changed by the stream since clients were last moved.
    pub rows_applied: u64,
    /// The position committed on the other side.
    pub applied_lsn: Option<Lsn>,
    /// Seconds until the target arrives; none when it is unknown or never.
    pub eta_seconds: Option<u64>,
    /// The same in words, with "never at this rate".
    pub eta: String,
    /// Changes put aside.
    pub parked_changes: u64,
    /// Changes of the source's structure; none where the plan does not log them.
    pub ddl: Option<DdlStatus>,
    /// How far the validation of the rows is; none before it begins and after a switch.
    pub validation: Option<ValidationStatus>,
    /// What the application's busiest statements took on the source before the switch, and
    /// take on the target; empty where `pg_stat_statements` is not installed on both.
    pub statements: Vec<Latency>,
    /// How the subscription stands, where one follows the source.
    pub subscription: Option<SubscriptionStatus>,
    /// What to do next.
    pub next_steps: Vec<String>,
}

/// Reads a migration's state from both servers. An unreachable source leaves its numbers
/// out; an unreachable target is an error, because the journal is there.
pub async fn status(plan: &Plan) -> Result<StatusReport, Error> {
    if let Some(found) = in_file::status(plan).await? {
        return Ok(found);
    }
    let mut opened = target_session(plan).await;
    if opened.as_ref().is_err_and(reopening::is_closed) {
        // While a rollback has the target closed, the journal on the source says it all.
        if let Some(peeked) = away::peek(&plan.source, &plan.name).await? {
            return Ok(on_the_source(plan, peeked));
        }
        // It was opened, and the journal brought home, between the two looks.
        opened = target_session(plan).await;
    }
    let mut target = match opened {
        // A target that we made goes with a migration that is given up.
        Err(error) if plan.begins_in_file() => return ended_or_unknown(plan).map_err(|_| error),
        opened => opened?,
    };
    match of_journal(plan, &mut target).await {
        Ok(Some(report)) => Ok(report),
        Ok(None) => ended_or_unknown(plan),
        // The migration may have ended while it was read.
        Err(error) => match control::schema_exists(&mut target).await {
            Ok(false) => ended_or_unknown(plan),
            _ => Err(error),
        },
    }
}

async fn target_session(plan: &Plan) -> Result<Session, Error> {
    let session = Session::connect(&plan.target, "status").await;
    Ok(session.on(Side::Target, "reading the status")?)
}

/// The journal at its newest, by where it stands.
enum Newest {
    /// On the target.
    Here(Identity, State),
    /// On the source: a rollback is under way, or died.
    OnTheSource(away::Peeked),
}

async fn newest(plan: &Plan, target: &mut Session) -> Result<Option<Newest>, Error> {
    let mut found = control::peek(target, &plan.name).await?;
    if found.as_ref().is_some_and(|(_, state)| state.away) {
        if let Some(peeked) = away::peek(&plan.source, &plan.name).await? {
            return Ok(Some(Newest::OnTheSource(peeked)));
        }
        // It came home between the two looks: what was read here is older than that. The
        // session may have been ended by the fence.
        *target = target_session(plan).await?;
        found = control::peek(target, &plan.name).await?;
    }
    Ok(found.map(|(identity, state)| Newest::Here(identity, state)))
}

/// What the journal on the target and both servers say; `None` where there is no journal.
async fn of_journal(plan: &Plan, target: &mut Session) -> Result<Option<StatusReport>, Error> {
    let doing = "reading the status";
    let (identity, state) = match newest(plan, target).await? {
        Some(Newest::Here(identity, state)) => (identity, state),
        Some(Newest::OnTheSource(peeked)) => return Ok(Some(on_the_source(plan, peeked))),
        None => return Ok(None),
    };
    let leg = state.leg.as_ref().map_or(0, |leg| leg.number);
    let row = target
        .query_one(include_str!("sql/status_target.sql"), &[&plan.name])
        .await;
    let numbers = row
        .and_then(|row| target_numbers(&row))
        .on(Side::Target, doing)?;
    let source = Session::connect(&plan.source, "status").await.ok();
    let slot = state.leg.as_ref().map_or("", |leg| leg.slot.name.as_str());
    let mut native = None;
    let relay = match state.way() {
        Way::There => relayed::look(plan, slot).await,
        Way::Back => None,
    };
    let physical = relay
        .as_ref()
        .and_then(|look| relay::physical_slot(plan, look));
    let on_source = physical.as_deref().unwrap_or(slot);
    let (applied, written) = match (state.way(), source) {
        (Way::There, mut source) => {
            let applied = applied(target, &plan.name, leg).await;
            let written = match &mut source {
                Some(source) => written(source, on_source).await.ok(),
                None => None,
            };
            if let Some(name) = state.subscription() {
                native = subscription::status::status(target, source.as_mut(), name, slot).await?;
            }
            (
                applied.on(Side::Target, doing)?,
                written.unwrap_or_default(),
            )
        }
        (Way::Back, Some(mut source)) => (
            applied(&mut source, &plan.name, leg)
                .await
                .unwrap_or_default(),
            written(target, slot).await.on(Side::Target, doing)?,
        ),
        (Way::Back, None) => (Applied::default(), Written::default()),
    };
    let statements = latencies(target, &state).await?;
    let validation = match state.way() {
        // The target may go away after it has said the rest.
        Way::There => validation::status(target, &plan.name, leg)
            .await
            .unwrap_or_default(),
        Way::Back => None,
    };
    let relay = match state.way() {
        Way::There => {
            let applied = applied.position.max(applied.confirmed);
            let applied = applied.filter(|_| state.phase.has_rows());
            relayed::of(plan, relay.as_ref(), written.position, applied)
        }
        Way::Back => None,
    };
    let applied = match &native {
        Some(native) => applied.of_a_subscription(native),
        None => applied,
    };
    let mut report = report(identity.name, &state, &numbers, &applied, &written);
    // The cutover is refused as long as they do.
    if validation.as_ref().is_some_and(|v| v.rows_differing > 0) {
        let mending =
            "trunkline verify --repair (mends the rows that differ), or --repair-sql FILE";
        report.next_steps.retain(|step| step != "trunkline cutover");
        report.next_steps.push(mending.to_owned());
    }
    Ok(Some(StatusReport {
        ddl: ddl::read(plan, target, &state)
            .await
            .on(Side::Target, doing)?,
        relay,
        validation,
        statements,
        subscription: native,
        ..report
    }))
}

/// What statements took before the switch and take now.
async fn latencies(target: &mut Session, state: &State) -> Result<Vec<Latency>, Error> {
    let (Way::Back, Some(before)) = (state.way(), &state.baseline) else {
        return Ok(Vec::new());
    };
    let now = baseline::busiest(target, Side::Target, Reach::All).await?;
    Ok(now.map_or_else(Vec::new, |now| baseline::compare(before, &now)))
}

fn report(
    migration: String,
    state: &State,
    numbers: &TargetNumbers,
    applied: &Applied,
    written: &Written,
) -> StatusReport {
    let follows = state.phase.has_rows() && state.leg.is_some();
    let lag_bytes = match (written.position, applied.position.max(applied.confirmed)) {
        (Some(now), Some(position)) if follows => Some(now.bytes_since(position)),
        _ => None,
    };
    let arrival = lag_bytes.map_or(Arrival::Unknown, |lag| {
        Arrival::estimate(lag, applied.apply_rate, applied.write_rate)
    });
    let eta_seconds = match arrival {
        Arrival::Now => Some(0),
        Arrival::In { seconds } => Some(seconds),
        Arrival::Never | Arrival::Unknown => None,
    };
    StatusReport {
        schema_version: SCHEMA_VERSION,
        migration,
        phase: state.phase,
        serves: state.way().from(),
        held: numbers.held,
        lag_bytes,
        relay: None,
        lag_seconds: lag_bytes.and(match arrival {
            Arrival::Now => Some(0.0),
            _ => applied.age_seconds,
        }),
        wal_kept_bytes: written.kept_bytes,
        rows_copied: numbers.rows_copied,
        rows_total: numbers.rows_total.max(numbers.rows_copied),
        rows_applied: applied.rows,
        applied_lsn: applied.position,
        eta_seconds,
        eta: in_words(arrival),
        parked_changes: applied.parked,
        ddl: None,
        validation: None,
        statements: Vec::new(),
        subscription: None,
        next_steps: state.next_steps(numbers.held),
    }
}

fn on_the_source(plan: &Plan, peeked: away::Peeked) -> StatusReport {
    let state = peeked.state;
    StatusReport {
        migration: peeked.identity.name,
        serves: state.way().from(),
        held: peeked.held,
        next_steps: state.next_steps(peeked.held),
        ..over(plan, state.phase)
    }
}

/// The name of the file that says how a migration ended, once the target forgot it.
pub const OUTCOME_FILE: &str = "outcome";

/// What it says; `None` where nothing has ended.
pub(crate) fn outcome(plan: &Plan) -> Option<Phase> {
    let said = std::fs::read_to_string(plan.dir.join(OUTCOME_FILE)).ok()?;
    let finals = [Phase::Completed, Phase::Aborted];
    finals.into_iter().find(|phase| phase.name() == said.trim())
}

fn ended_or_unknown(plan: &Plan) -> Result<StatusReport, Error> {
    match outcome(plan) {
        Some(phase) => Ok(over(plan, phase)),
        None => Err(Error::no_such_migration(&plan.name)),
    }
}

/// A report without a number.
fn over(plan: &Plan, phase: Phase) -> StatusReport {
    StatusReport {
        schema_version: SCHEMA_VERSION,
        migration: plan.name.clone(),
        phase,
        serves: phase.way().from(),
        held: false,
        lag_bytes: None,
        lag_seconds: None,
        relay: None,
        wal_kept_bytes: None,
        rows_copied: 0,
        rows_total: 0,
        rows_applied: 0,
        applied_lsn: None,
        eta_seconds: None,
        eta: if phase.is_final() { "over" } else { "unknown" }.to_owned(),
        parked_changes: 0,
        ddl: None,
        validation: None,
        statements: Vec::new(),
        subscription: None,
        next_steps: next_steps(phase, false),
    }
}

fn in_words(arrival: Arrival) -> String {
    match arrival {
        Arrival::Now => "now".to_owned(),
        Arrival::In { seconds } => format!("in {seconds} s"),
        Arrival::Never => "never at this rate".to_owned(),
        Arrival::Unknown => "unknown".to_owned(),
    }
}
