//! `[migration] route = "replica"` and `[replica]`: a physical standby becomes the target.

use trunkline_migration::Error;
use trunkline_migration::plan::{ReplicaPlan, Route, StandbyPlan};

use super::making::Keys;
use super::{one_of, plan_error};
use crate::plan_file::{PlanFile, ReplicaTable, SeedTable, StructureTable};
use crate::transform_plan::TransformTable;

/// The route, where it is no subscription.
pub(super) fn stream_or_replica(file: &PlanFile, target_port: u16) -> Result<Route, Error> {
    if file.migration.route.as_deref() == Some("replica") {
        return Ok(Route::Replica(replica(file, target_port)?));
    }
    if file.replica != ReplicaTable::default() {
        return Err(plan_error(
            "the plan has a table [replica], and another route",
            "put `route = \"replica\"` into [migration], or take the table out",
        ));
    }
    Ok(Route::Stream)
}

/// The standby, with what has no meaning for one refused: a plan that asks for half of a
/// server must not get all of it.
fn replica(file: &PlanFile, target_port: u16) -> Result<ReplicaPlan, Error> {
    let tables = &file.tables;
    let chosen =
        !(tables.include.is_empty() && tables.exclude.is_empty()) || tables.filters.is_some();
    let copied = SeedTable {
        // Tables that are compared at the same time, too.
        jobs: None,
        ..file.seed.clone()
    };
    let refused = [
        (chosen, "tables", "include, exclude and filters"),
        (
            file.structure != StructureTable::default(),
            "structure",
            "its keys",
        ),
        (
            copied != SeedTable::default(),
            "seed",
            "method, index_jobs and split_tables_larger_than",
        ),
        (
            file.transform != TransformTable::default(),
            "transform",
            "the table",
        ),
        (file.relay.is_some(), "relay", "the table"),
        (file.source.publication.is_some(), "source", "publication"),
    ];
    for (is_set, table, keys) in refused {
        if is_set {
            return Err(plan_error(
                format!("[{table}]: a standby is a copy of the whole server"),
                format!("take {keys} out of the plan, or use `route = \"stream\"`"),
            ));
        }
    }
    let table = &file.replica;
    let provider = table.provider.as_deref();
    one_of("provider", provider, &["adopt", "basebackup"])?;
    let keys = Keys {
        data_directory: table.data_directory.as_deref(),
        port: table.port,
        user: table.user.as_deref(),
        upgrade_to: None,
        programs: &table.programs,
    };
    let standby = if provider == Some("basebackup") {
        StandbyPlan::Made(keys.base_backup("replica", target_port, "target")?)
    } else {
        keys.refuse("replica")?;
        StandbyPlan::Adopted
    };
    Ok(ReplicaPlan {
        standby,
        lag_command: table.lag_command.clone(),
    })
}
