//! What becomes of changes of the source's structure, and what that does not go with.

use trunkline_load::Transform;
use trunkline_migration::plan::Route;
use trunkline_migration::{DdlMode, Error};

use super::{one_of, plan_error};
use crate::plan_file::PlanFile;

/// `[stream] ddl`.
pub(super) fn mode(
    file: &PlanFile,
    route: &Route,
    transform: &Transform,
) -> Result<Option<DdlMode>, Error> {
    let value = file.stream.ddl.as_deref();
    one_of("ddl", value, &["stop", "log", "replay"])?;
    let mode = match value {
        Some("log") => DdlMode::Log,
        Some("replay") => DdlMode::Replay,
        _ => return Ok(None),
    };
    if mode == DdlMode::Replay && !transform.is_none() {
        return Err(plan_error(
            "`ddl = \"replay\"` compares tables with those of the source, and the plan gives the \
             target other names, columns or rows",
            "`ddl = \"log\"` records what changes, and you make it on the target",
        ));
    }
    if route.subscription().is_some() {
        return Err(plan_error(
            format!(
                "`ddl = \"{}\"` and `route = \"subscription\"` are both given",
                mode.name()
            ),
            "a subscription does not read the log of changes of structure: take one of them out",
        ));
    }
    if file.seed.method.as_deref() == Some("snapshot") {
        return Err(plan_error(
            format!(
                "`ddl = \"{}\"` and [seed] method = \"snapshot\" are both given",
                mode.name()
            ),
            "a storage copy would bring the log's event triggers along: take one of them out",
        ));
    }
    Ok(Some(mode))
}
