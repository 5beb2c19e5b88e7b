//! The preflight of a migration whose target is to be a physical copy, before there is one:
//! only the source can be asked. Both are examined once the copy stands.

use trunkline_changes::TableName;
use trunkline_postgres::{Fault, Session};

use super::checking::FIRST_LEG;
use crate::checks::Finding;
use crate::checks::seeded::{self, SourceInput};
use crate::control::Identity;
use crate::journal::State;
use crate::phases::base_backup;
use crate::plan::{Plan, Snapshot};

pub(super) async fn check_source(
    plan: &Plan,
    source: &mut Session,
    own: Option<(Identity, State)>,
) -> Result<Vec<Finding>, Fault> {
    let own_name = own.map(|(identity, _)| identity.object_name(FIRST_LEG));
    let scope = |table: &TableName| plan.scope.covers_table(table);
    let insert_only = |table: &TableName| {
        plan.insert_only
            .as_ref()
            .is_some_and(|scope| scope.covers_table(table))
    };
    let made = match plan.seed.snapshot() {
        Some(Snapshot::BaseBackup(made)) => Some(made),
        _ => None,
    };
    let trouble = match made {
        Some(made) => base_backup::instance(made, source.version().major())
            .await
            .err(),
        None => None,
    };
    let input = SourceInput {
        trouble: trouble.map(|error| (error.to_string(), error.hint())),
        source,
        scope: &scope,
        insert_only: &insert_only,
        maintenance_database: &plan.cutover.maintenance_database,
        own_slot: own_name.as_deref(),
        own_publication: plan.publication.as_deref().or(own_name.as_deref()),
        downstream: &plan.downstream,
        made_by_us: made.is_some(),
    };
    seeded::examine(input).await
}
