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
    let snapshot = file.seed.method.as_deref() == Some("snapshot");
    let test_decoding = file.stream.decoder.as_deref() == Some("test_decoding");
    let others = [
        (
            route.subscription().is_some(),
            "`route = \"subscription\"`",
            "a subscription does not read the log of changes of structure",
        ),
        (
            route.replica().is_some(),
            "`route = \"replica\"`",
            "a standby takes changes of structure over by itself",
        ),
        (
            snapshot,
            "[seed] method = \"snapshot\"",
            "a storage copy would bring the log's event triggers along",
        ),
        (
            test_decoding,
            "`decoder = \"test_decoding\"`",
            "the log of changes of structure is read by pgoutput only",
        ),
        (
            file.relay.is_some(),
            "[relay]",
            "the log of changes of structure is not read through a relay",
        ),
    ];
    if let Some((_, other, why)) = others.into_iter().find(|(is_given, ..)| *is_given) {
        let name = mode.name();
        return Err(plan_error(
            format!("`ddl = \"{name}\"` and {other} are both given"),
            format!("{why}: take one of them out"),
        ));
    }
    Ok(Some(mode))
}
