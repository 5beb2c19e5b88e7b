//! The preflight: what stands in the way of a migration, each finding with the object and the
//! SQL or setting that mends it. Facts are read in bulk, one query a concern, by a role without
//! superuser rights; every judgement on them is a pure function. Nothing is written on either
//! server. What cannot be known is said, and never taken for good.

mod activity;
mod collations;
mod existing;
mod extensions;
mod features;
mod finding;
mod firing;
mod identity;
mod limits;
mod listing;
mod privileges;
mod replication;
mod report;
mod role;
mod roles;
mod sequences;
mod server;
mod sessions;
mod settings;
mod size;
mod tables;
mod tablespaces;
mod tools;
mod unmoved;

use std::collections::BTreeSet;
use std::path::PathBuf;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{Fault, OnSide, PgError, ServerVersion, Session};

use tables::Tables;

pub use finding::{Finding, Severity, Verdict, verdict};
pub use report::render;

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
#[expect(clippy::struct_excessive_bools, reason = "answers of the plan, independent of each other")]
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
    /// Whether the schema `trunkline` on the target, if there is one, is this migration's.
    pub own_control_schema: bool,
}

/// Which tables are looked at.
struct Scope<'a> {
    included: TablePredicate<'a>,
    insert_only: TablePredicate<'a>,
}

/// What the pure judgements need to know of the plan.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "answers of the plan, independent of each other")]
struct Intent {
    live: bool,
    structure: bool,
    drop_if_exists: bool,
    no_owner: bool,
    no_privileges: bool,
    own_control_schema: bool,
}

#[cfg(test)]
fn intent_of_a_live_move() -> Intent {
    Intent {
        live: true,
        structure: true,
        drop_if_exists: false,
        no_owner: false,
        no_privileges: false,
        own_control_schema: false,
    }
}

/// Both sessions and what was read of each server in general, which the further checks lean on.
struct Examination<'a> {
    source: &'a mut Session,
    target: &'a mut Session,
    scope: Scope<'a>,
    intent: Intent,
    own_slot: Option<&'a str>,
    own_publication: Option<&'a str>,
    source_server: server::Facts,
    target_server: server::Facts,
    source_role: role::Facts,
    target_role: role::Facts,
    findings: Vec<Finding>,
}

/// Reads both servers and gives every finding, the gravest first.
pub async fn examine(input: CheckInput<'_>) -> Result<Vec<Finding>, Fault> {
    let intent = Intent {
        live: input.live,
        structure: input.structure,
        drop_if_exists: input.drop_if_exists,
        no_owner: input.no_owner,
        no_privileges: input.no_privileges,
        own_control_schema: input.own_control_schema,
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
        source_role: role::read(input.source, input.maintenance_database).await.on(Side::Source, what)?,
        target_role: role::read(input.target, input.maintenance_database).await.on(Side::Target, what)?,
        source: input.source,
        target: input.target,
        scope: Scope { included: input.scope, insert_only: input.insert_only },
        intent,
        own_slot: input.own_slot,
        own_publication: input.own_publication,
        source_server,
        target_server,
        findings,
    };
    let tables = tables::read(examination.source, &examination.scope)
        .await
        .on(Side::Source, "reading the tables")?;
    examination.tables(&tables).await.on(Side::Source, "reading about the tables")?;
    let moving = examination.source(&tables).await.on(Side::Source, "reading about the database")?;
    if intent.live {
        examination.streaming(&tables).await.on(Side::Source, "reading about the stream")?;
    }
    examination.target(&tables, &moving).await.on(Side::Target, "reading about the database")?;
    examination.parity(&tables).await?;
    if intent.structure {
        let stamps = tools::read_stamps(examination.source, &tables.schemas())
            .await
            .on(Side::Source, "reading about the columns")?;
        let Examination { source_server, target_server, .. } = &examination;
        let found = tools::judge(source_server, target_server, input.pg_dump.as_ref(), stamps, intent);
        examination.findings.extend(found);
    }
    Ok(sorted(examination.findings))
}

fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    // Stable: within a severity the order of the examination stays.
    findings.sort_by_key(|finding| finding.severity);
    findings
}

impl Examination<'_> {
    /// The tables in scope, and our rights on them.
    async fn tables(&mut self, tables: &Tables) -> Result<(), PgError> {
        let publication = match self.own_publication {
            Some(name) => privileges::publication(self.source, name).await?,
            None => None,
        };
        let (role, server) = (&self.source_role, &self.source_server);
        let found = privileges::judge_source(role, server, tables, publication.as_ref(), self.intent);
        self.findings.extend(found);
        self.findings.extend(tables::judge(tables, role, &self.target_role, self.intent));
        if self.intent.live {
            let incomparable = identity::read_incomparable(self.source, &self.scope).await?;
            self.findings.extend(identity::judge_full(tables, &incomparable));
        }
        Ok(())
    }

    /// The source's database beside its tables. Gives the names of all relations that move.
    async fn source(&mut self, tables: &Tables) -> Result<BTreeSet<TableName>, PgError> {
        let (role, server, intent) = (&self.source_role, &self.source_server, self.intent);
        let sequences = sequences::read(self.source, &self.scope).await?;
        self.findings.extend(sequences::judge(&sequences, role, intent));
        let unmoved = unmoved::read(self.source).await?;
        self.findings.extend(unmoved::judge_source(&unmoved, role, self.own_publication, intent));
        let size = size::read(self.source).await?;
        self.findings.extend(size::judge(size, server, tables, intent));
        self.findings.extend(role::judge_connections(role).into_iter().map(|found| found.on(Side::Source)));
        self.findings.extend(sessions::judge_timeouts(Side::Source, server));
        if intent.structure {
            self.findings.extend(sessions::judge_locks(server, tables.list.len()));
        }
        if existing::control_schema(self.source).await? {
            let message = "the schema trunkline stands on the source, from a migration to it: it is left out";
            self.findings.push(Finding::notice("control-schema", message).on(Side::Source).about("trunkline"));
        }
        let mut moving = existing::read_views(self.source, &tables.schemas()).await?;
        moving.extend(tables.list.iter().map(|table| table.name.clone()));
        moving.extend(sequences.into_iter().map(|sequence| sequence.name));
        Ok(moving)
    }

    /// What a stream needs, and what would hold it up.
    async fn streaming(&mut self, tables: &Tables) -> Result<(), PgError> {
        let replication = replication::read(self.source).await?;
        self.findings.extend(replication::judge(&replication, &self.source_server, self.own_slot));
        let activity = activity::read(self.source).await?;
        self.findings.extend(activity::judge(&activity, &self.source_role));
        if tables.streamed().next().is_none() && !tables.list.is_empty() {
            let message = "no table in scope can be streamed";
            self.findings.push(Finding::warning("nothing-to-stream", message).on(Side::Source));
        }
        Ok(())
    }

    /// The target by itself, and what stands there.
    async fn target(&mut self, tables: &Tables, moving: &BTreeSet<TableName>) -> Result<(), PgError> {
        let (role, server, intent) = (&self.target_role, &self.target_server, self.intent);
        self.findings.extend(privileges::judge_target(role, server, intent));
        self.findings.extend(role::judge_connections(role).into_iter().map(|found| found.on(Side::Target)));
        self.findings.extend(sessions::judge_timeouts(Side::Target, server));
        let unmoved = unmoved::read(self.target).await?;
        self.findings.extend(unmoved::judge_target(&unmoved));
        let existing = existing::read(self.target).await?;
        self.findings.extend(existing::judge(&existing, tables, moving, role, intent));
        Ok(())
    }

    /// What both must have alike: roles, extensions, locales, types; and what would fire.
    async fn parity(&mut self, tables: &Tables) -> Result<(), Fault> {
        let (source, target, intent) = (&mut *self.source, &mut *self.target, self.intent);
        let schemas = tables.schemas();

        let what = "reading the roles";
        let parts = roles::read_source(source, tables).await.on(Side::Source, what)?;
        let facts = roles::read_target(target, parts, tables).await.on(Side::Target, what)?;
        self.findings.extend(roles::judge(&facts, tables, &self.target_role, intent));

        if intent.structure {
            let what = "reading the tablespaces";
            let used = tablespaces::read_used(source, &schemas).await.on(Side::Source, what)?;
            let there = tablespaces::read_target(target, &used).await.on(Side::Target, what)?;
            self.findings.extend(tablespaces::judge(&used, &there, &self.target_role));
        }

        let what = "reading the extensions";
        let wanted = extensions::read_source(source).await.on(Side::Source, what)?;
        let available = extensions::read_target(target, &wanted).await.on(Side::Target, what)?;
        self.findings.extend(extensions::judge(&wanted, &available, &self.target_role, intent));

        let what = "reading the collations";
        let ours = collations::read_locale(source).await.on(Side::Source, what)?;
        let theirs = collations::read_locale(target).await.on(Side::Target, what)?;
        let databases = [&self.source_server.database, &self.target_server.database];
        self.findings.extend(collations::judge_locales([&ours, &theirs], databases));
        let used = collations::read_used(source, &schemas).await.on(Side::Source, what)?;
        let there = collations::read_target(target, &used).await.on(Side::Target, what)?;
        self.findings.extend(collations::judge_used(&used, &there, intent));

        let what = "reading the types";
        let major = self.target_server.version.major();
        if intent.structure && major < self.source_server.version.major() {
            let newer = features::read_newer(source, &schemas).await.on(Side::Source, what)?;
            let types = features::read_types(source, &schemas).await.on(Side::Source, what)?;
            let missing = features::read_missing_types(target, &types).await.on(Side::Target, what)?;
            self.findings.extend(features::judge(&newer, &missing, major));
        }

        // Where the structure is to be made, it will have the source's triggers.
        let (side, session) = if intent.structure { (Side::Source, source) } else { (Side::Target, target) };
        if intent.live || !intent.structure {
            let firing = firing::read(session, &self.scope).await.on(side, "reading the triggers")?;
            self.findings.extend(firing::judge(&firing, side));
        }
        Ok(())
    }
}
