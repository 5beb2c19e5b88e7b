//! The preflight: what stands in the way of a migration, each finding with the object and the
//! SQL or setting that mends it. Facts are read in bulk, one query a concern, by a role without
//! superuser rights; every judgement on them is a pure function. Nothing is written on either
//! server (a temporary slot shows whether a contributed decoder is there). What cannot be known is said, and never taken for good.

mod activity;
mod collations;
mod ddl;
mod decoder;
mod downstream;
mod examination;
mod existing;
mod extensions;
mod features;
mod finding;
mod firing;
mod identity;
mod limits;
mod listing;
pub(crate) mod making;
mod naming;
mod privileges;
pub(crate) mod relay;
mod replication;
mod report;
mod role;
mod roles;
pub(crate) mod seeded;
mod sequences;
mod server;
mod sessions;
mod settings;
mod size;
pub(crate) mod standby;
pub(crate) mod subscription;
mod tables;
mod tablespaces;
mod tools;
pub(crate) mod transform;
mod unmoved;
pub(crate) mod way_back;

use std::path::PathBuf;

use trunkline_apply::DdlMode;
use trunkline_capture::slot::Plugin;
use trunkline_changes::{Side, TableName};
use trunkline_postgres::{Fault, OnSide, ServerVersion, Session};

use crate::plan::SubscriptionPlan;
use examination::Examination;

pub use finding::{Finding, Severity, Verdict, verdict};
pub use report::render;
pub use way_back::Standing;

/// Which tables something applies to.
pub type TablePredicate<'a> = &'a (dyn Fn(&TableName) -> bool + Sync);

/// The `pg_dump` that is to read the structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgDump {
    /// Where the program is.
    pub path: PathBuf,
    /// What it says its version is.
    pub version: ServerVersion,
}

/// What is to be examined.
#[expect(
    clippy::struct_excessive_bools,
    reason = "answers of the plan, independent of each other"
)]
pub struct CheckInput<'a> {
    /// A session on the source's database, of the role that will do the work.
    pub source: &'a mut Session,
    /// A session on the target's database, of the role that will do the work.
    pub target: &'a mut Session,
    /// The tables that move.
    pub scope: TablePredicate<'a>,
    /// Whether changes are to be streamed; false for a copy at rest, which needs no slot.
    pub live: bool,
    /// Whether objects that exist on the target are dropped first.
    pub drop_if_exists: bool,
    /// Whether Trunkline makes the structure; false when the target's tables are there.
    pub structure: bool,
    /// Whether everything is to belong to our role on the target, whoever owns it on the source.
    pub no_owner: bool,
    /// Whether grants are left out.
    pub no_privileges: bool,
    /// The other database of the source's server, from which the fence is set and lifted.
    pub maintenance_database: &'a str,
    /// Tables of which the plan says that only new rows come: they need no replica identity.
    pub insert_only: TablePredicate<'a>,
    /// The `pg_dump` that was found, for the structure.
    pub pg_dump: Option<PgDump>,
    /// The slot of this migration, which may exist from an earlier run.
    pub own_slot: Option<&'a str>,
    /// The publication of this migration, which may exist or be made by hand.
    pub own_publication: Option<&'a str>,
    /// What is to decode the source's log.
    pub decoder: Plugin,
    /// Whether changes are read from a standby of the source: then it needs no free slot.
    pub relayed: bool,
    /// Slots of other consumers on the source that are handed over at the cutover.
    pub downstream: &'a [String],
    /// The subscription that is to be made on the target.
    pub subscription: Option<&'a SubscriptionPlan>,
    /// The one of this migration that stands there.
    pub own_subscription: Option<&'a str>,
    /// Whether the schema `trunkline` on the target, if there is one, is this migration's.
    pub own_control_schema: bool,
    /// Where a table of the source stands on the target.
    pub place: &'a (dyn Fn(&TableName) -> TableName + Sync),
    /// The source's table that stands at a place of the target, if one does.
    pub placed: &'a (dyn Fn(&TableName) -> Option<TableName> + Sync),
    /// Whether a switch to the target is ahead after which changes are to flow back.
    pub way_back: bool,
    /// Whether the tables stand on the target, with their keys.
    pub tables_on_target: Standing,
    /// What becomes of changes of the source's structure; none if they are not logged.
    pub ddl: Option<DdlMode>,
}

/// Which tables are looked at.
struct Scope<'a> {
    included: TablePredicate<'a>,
    insert_only: TablePredicate<'a>,
}

/// What the pure judgements need to know of the plan.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "answers of the plan, independent of each other"
)]
struct Intent {
    live: bool,
    decoder: Plugin,
    structure: bool,
    drop_if_exists: bool,
    no_owner: bool,
    no_privileges: bool,
    own_control_schema: bool,
    way_back: bool,
}

#[cfg(test)]
fn intent_of_a_live_move() -> Intent {
    Intent {
        live: true,
        decoder: Plugin::Pgoutput,
        structure: true,
        drop_if_exists: false,
        no_owner: false,
        no_privileges: false,
        own_control_schema: false,
        way_back: true,
    }
}

/// Reads both servers and gives every finding, the gravest first.
pub async fn examine(input: CheckInput<'_>) -> Result<Vec<Finding>, Fault> {
    let intent = Intent {
        live: input.live,
        decoder: input.decoder,
        structure: input.structure,
        drop_if_exists: input.drop_if_exists,
        no_owner: input.no_owner,
        no_privileges: input.no_privileges,
        own_control_schema: input.own_control_schema,
        way_back: input.live && input.way_back,
    };
    let what = "reading what server it is";
    let source_server = server::read(input.source).await.on(Side::Source, what)?;
    let target_server = server::read(input.target).await.on(Side::Target, what)?;
    let findings = server::judge(&source_server, &target_server, intent);
    if !server::can_be_examined(&source_server, &target_server) {
        return Ok(sorted(findings));
    }
    let what = "reading the rights of our role";
    let mut examination = Examination {
        source_role: role::read(input.source, input.maintenance_database)
            .await
            .on(Side::Source, what)?,
        target_role: role::read(input.target, input.maintenance_database)
            .await
            .on(Side::Target, what)?,
        source: input.source,
        target: input.target,
        scope: Scope {
            included: input.scope,
            insert_only: input.insert_only,
        },
        intent,
        own_slot: input.own_slot,
        own_publication: input.own_publication,
        relayed: input.relayed,
        downstream: input.downstream,
        subscription: input.subscription,
        own_subscription: input.own_subscription,
        maintenance_database: input.maintenance_database,
        place: input.place,
        placed: input.placed,
        tables_on_target: input.tables_on_target,
        ddl: input.ddl,
        source_server,
        target_server,
        findings,
    };
    examination.run(input.pg_dump.as_ref()).await?;
    Ok(sorted(examination.findings))
}

pub(crate) fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    // Stable: within a severity the order of the examination stays.
    findings.sort_by_key(|finding| finding.severity);
    findings
}
