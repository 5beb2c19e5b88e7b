//! The order in which the facts are read and judged, once it is clear what the servers are.

use std::collections::BTreeSet;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{Fault, OnSide, PgError, Session};

use super::finding::Finding;
use super::tables::Tables;
use super::{
    Intent, PgDump, Scope, TablePredicate, activity, collations, downstream, existing, extensions,
    features, firing, identity, naming, privileges, replication, role, roles, sequences, server,
    sessions, size, subscription, tables, tablespaces, tools, unmoved, way_back,
};
use crate::plan::SubscriptionPlan;
use crate::way::Way;
use way_back::{Question, Standing};

/// Both sessions and what was read of each server in general, which the further checks lean on.
pub(super) struct Examination<'a> {
    pub source: &'a mut Session,
    pub target: &'a mut Session,
    pub scope: Scope<'a>,
    pub intent: Intent,
    pub own_slot: Option<&'a str>,
    pub own_publication: Option<&'a str>,
    pub relayed: bool,
    pub downstream: &'a [String],
    pub subscription: Option<&'a SubscriptionPlan>,
    pub own_subscription: Option<&'a str>,
    pub maintenance_database: &'a str,
    pub place: &'a (dyn Fn(&TableName) -> TableName + Sync),
    pub placed: &'a (dyn Fn(&TableName) -> Option<TableName> + Sync),
    pub tables_on_target: Standing,
    pub source_server: server::Facts,
    pub target_server: server::Facts,
    pub source_role: role::Facts,
    pub target_role: role::Facts,
    pub findings: Vec<Finding>,
}

impl Examination<'_> {
    /// Everything that is asked once both servers can be asked.
    pub(super) async fn run(&mut self, pg_dump: Option<&PgDump>) -> Result<(), Fault> {
        let tables = tables::read(self.source, &self.scope)
            .await
            .on(Side::Source, "reading the tables")?;
        self.tables(&tables)
            .await
            .on(Side::Source, "reading about the tables")?;
        let moving = self
            .source(&tables)
            .await
            .on(Side::Source, "reading about the database")?;
        if self.intent.live {
            self.streaming(&tables)
                .await
                .on(Side::Source, "reading about the stream")?;
        }
        self.target(&tables, &moving)
            .await
            .on(Side::Target, "reading about the database")?;
        if self.intent.structure {
            self.structure(&tables, pg_dump).await?;
        }
        if self.intent.live && !self.downstream.is_empty() {
            let slots = replication::read(self.target)
                .await
                .on(Side::Target, "reading the replication slots")?;
            let found = downstream::judge_target(&slots, &self.target_server, self.downstream);
            self.findings.extend(found);
        }
        self.subscription().await?;
        self.extensions().await?;
        self.collations(&tables).await?;
        self.firing().await?;
        self.way_back().await
    }

    /// What a subscription needs that is to be made.
    async fn subscription(&mut self) -> Result<(), Fault> {
        let (Some(plan), true) = (self.subscription, self.intent.live) else {
            return Ok(());
        };
        let (source, target) = (&self.source_server, &self.target_server);
        let same = subscription::is_same_server(source, target);
        let facts = subscription::read(self.target, plan, same)
            .await
            .on(Side::Target, "trying whether a subscription could be made")?;
        let found = subscription::judge(&facts, plan, source, target, &self.target_role);
        self.findings.extend(found);
        Ok(())
    }

    /// What would be missing after the switch, while both sides can still be mended in peace.
    async fn way_back(&mut self) -> Result<(), Fault> {
        if !self.intent.way_back {
            return Ok(());
        }
        let question = Question {
            way: Way::There,
            scope: self.scope.included,
            placed: self.placed,
            insert_only: self.scope.insert_only,
            maintenance_database: self.maintenance_database,
            downstream: self.downstream,
            own_subscription: self.own_subscription,
            tables: self.tables_on_target,
        };
        let found = way_back::examine(self.source, self.target, &question).await?;
        self.findings.extend(found);
        Ok(())
    }

    /// The tables in scope, and our rights on them.
    async fn tables(&mut self, tables: &Tables) -> Result<(), PgError> {
        let publication = match self.own_publication {
            Some(name) => privileges::publication(self.source, name).await?,
            None => None,
        };
        let (role, server) = (&self.source_role, &self.source_server);
        let found =
            privileges::judge_source(role, server, tables, publication.as_ref(), self.intent);
        self.findings.extend(found);
        self.findings
            .extend(tables::judge(tables, role, &self.target_role, self.intent));
        self.findings.extend(naming::judge(tables, self.intent));
        if self.intent.live {
            let incomparable = identity::read_incomparable(self.source, &self.scope).await?;
            self.findings
                .extend(identity::judge_full(tables, &incomparable));
        }
        Ok(())
    }

    /// The source's database beside its tables. Gives the names of all relations that move.
    async fn source(&mut self, tables: &Tables) -> Result<BTreeSet<TableName>, PgError> {
        let (role, server, intent) = (&self.source_role, &self.source_server, self.intent);
        let sequences = sequences::read(self.source, &self.scope).await?;
        self.findings
            .extend(sequences::judge(&sequences, role, intent));
        let unmoved = unmoved::read(self.source).await?;
        self.findings.extend(unmoved::judge_source(
            &unmoved,
            role,
            self.own_publication,
            intent,
        ));
        let size = size::read(self.source).await?;
        self.findings
            .extend(size::judge(size, server, tables, intent));
        self.findings.extend(
            role::judge_connections(role)
                .into_iter()
                .map(|found| found.on(Side::Source)),
        );
        self.findings
            .extend(sessions::judge_timeouts(Side::Source, server));
        if intent.structure {
            self.findings
                .extend(sessions::judge_locks(server, tables.list.len()));
        }
        if existing::control_schema(self.source).await? {
            let message =
                "the schema trunkline stands on the source, from a migration to it: it is left out";
            self.findings.push(
                Finding::notice("control-schema", message)
                    .on(Side::Source)
                    .about("trunkline"),
            );
        }
        let mut moving = existing::read_views(self.source, &tables.schemas()).await?;
        moving.extend(tables.list.iter().map(|table| table.name.clone()));
        moving.extend(sequences.into_iter().map(|sequence| sequence.name));
        Ok(moving)
    }

    /// What a stream needs, and what would hold it up.
    async fn streaming(&mut self, tables: &Tables) -> Result<(), PgError> {
        let replication = replication::read(self.source).await?;
        let found = replication::judge(
            &replication,
            &self.source_server,
            self.own_slot,
            self.downstream,
        );
        let is_needed = |finding: &Finding| !self.relayed || finding.code != "replication-slots";
        self.findings.extend(found.into_iter().filter(is_needed));
        let activity = activity::read(self.source).await?;
        self.findings
            .extend(activity::judge(&activity, &self.source_role));
        if tables.streamed().next().is_none() && !tables.list.is_empty() {
            let message = "no table in scope can be streamed";
            self.findings
                .push(Finding::warning("nothing-to-stream", message).on(Side::Source));
        }
        Ok(())
    }

    /// The target by itself, and what stands there.
    async fn target(
        &mut self,
        tables: &Tables,
        moving: &BTreeSet<TableName>,
    ) -> Result<(), PgError> {
        let (role, server, intent) = (&self.target_role, &self.target_server, self.intent);
        self.findings
            .extend(privileges::judge_target(role, server, intent));
        self.findings.extend(
            role::judge_connections(role)
                .into_iter()
                .map(|found| found.on(Side::Target)),
        );
        self.findings
            .extend(sessions::judge_timeouts(Side::Target, server));
        let unmoved = unmoved::read(self.target).await?;
        let found = unmoved::judge_target(&unmoved, self.own_subscription);
        self.findings.extend(found);
        let existing = existing::read(self.target).await?;
        let place = existing::Places {
            moving,
            place: self.place,
        };
        self.findings
            .extend(existing::judge(&existing, tables, &place, role, intent));
        Ok(())
    }

    /// What the structure needs on the target: roles, tablespaces, types, and a `pg_dump`.
    async fn structure(&mut self, tables: &Tables, pg_dump: Option<&PgDump>) -> Result<(), Fault> {
        let (source, target, role) = (&mut *self.source, &mut *self.target, &self.target_role);
        let (ours, theirs) = (&self.source_server, &self.target_server);
        let schemas = tables.schemas();

        let what = "reading the roles";
        let parts = roles::read_source(source, tables)
            .await
            .on(Side::Source, what)?;
        let facts = roles::read_target(target, parts, tables)
            .await
            .on(Side::Target, what)?;
        self.findings
            .extend(roles::judge(&facts, tables, role, self.intent));

        let what = "reading the tablespaces";
        let used = tablespaces::read_used(source, &schemas)
            .await
            .on(Side::Source, what)?;
        let there = tablespaces::read_target(target, &used)
            .await
            .on(Side::Target, what)?;
        self.findings
            .extend(tablespaces::judge(&used, &there, role));

        let major = theirs.version.major();
        if major < ours.version.major() {
            let what = "reading the types";
            let newer = features::read_newer(source, &schemas)
                .await
                .on(Side::Source, what)?;
            let types = features::read_types(source, &schemas)
                .await
                .on(Side::Source, what)?;
            let missing = features::read_missing_types(target, &types)
                .await
                .on(Side::Target, what)?;
            self.findings
                .extend(features::judge(&newer, &missing, major));
        }

        let what = "reading about the columns";
        let stamps = tools::read_stamps(source, &schemas)
            .await
            .on(Side::Source, what)?;
        self.findings
            .extend(tools::judge(ours, theirs, pg_dump, stamps, self.intent));
        Ok(())
    }

    async fn extensions(&mut self) -> Result<(), Fault> {
        let what = "reading the extensions";
        let wanted = extensions::read_source(self.source)
            .await
            .on(Side::Source, what)?;
        let available = extensions::read_target(self.target, &wanted)
            .await
            .on(Side::Target, what)?;
        let found = extensions::judge(&wanted, &available, &self.target_role, self.intent);
        self.findings.extend(found);
        Ok(())
    }

    async fn collations(&mut self, tables: &Tables) -> Result<(), Fault> {
        let what = "reading the collations";
        let ours = collations::read_locale(self.source)
            .await
            .on(Side::Source, what)?;
        let theirs = collations::read_locale(self.target)
            .await
            .on(Side::Target, what)?;
        let databases = [&self.source_server.database, &self.target_server.database];
        self.findings
            .extend(collations::judge_locales([&ours, &theirs], databases));
        let used = collations::read_used(self.source, &tables.schemas())
            .await
            .on(Side::Source, what)?;
        let there = collations::read_target(self.target, &used)
            .await
            .on(Side::Target, what)?;
        self.findings
            .extend(collations::judge_used(&used, &there, self.intent));
        Ok(())
    }

    /// What would fire on the target for each change. Where the structure is to be made, the
    /// target will have the source's triggers.
    async fn firing(&mut self) -> Result<(), Fault> {
        let (included, placed) = (self.scope.included, self.placed);
        let on_target = |name: &TableName| placed(name).is_some_and(|name| included(&name));
        let (side, session, included): (_, _, TablePredicate<'_>) =
            match (self.intent.structure, self.intent.live) {
                (false, _) => (Side::Target, &mut *self.target, &on_target),
                (true, true) => (Side::Source, &mut *self.source, included),
                (true, false) => return Ok(()),
            };
        let scope = Scope {
            included,
            insert_only: self.scope.insert_only,
        };
        let firing = firing::read(session, &scope)
            .await
            .on(side, "reading the triggers")?;
        self.findings.extend(firing::judge(&firing, side));
        Ok(())
    }
}
