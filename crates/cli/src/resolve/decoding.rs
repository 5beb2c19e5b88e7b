//! Which decoder a plan means, and what goes with pgoutput only.

use trunkline_migration::Error;
use trunkline_migration::plan::Plugin;

use super::{one_of, plan_error};
use crate::plan_file::PlanFile;
use crate::transform_plan::TransformTable;

pub(super) fn decoder(file: &PlanFile) -> Result<Plugin, Error> {
    let value = file.stream.decoder.as_deref();
    one_of("decoder", value, &["pgoutput", "test_decoding"])?;
    if value != Some("test_decoding") {
        return Ok(Plugin::Pgoutput);
    }
    if file.relay.is_some() {
        return Err(plan_error(
            "a relay is read by pgoutput only, and the plan's decoder is test_decoding",
            "take `decoder` out of [stream], or [relay] out of the plan",
        ));
    }
    if file.seed.method.as_deref() == Some("snapshot") {
        return Err(plan_error(
            "a target that is seeded by a storage copy needs pgoutput, and the plan's decoder is test_decoding",
            "take `decoder` out of [stream], or seed by `method = \"copy\"`",
        ));
    }
    if file.transform != TransformTable::default() {
        return Err(plan_error(
            "[transform] needs pgoutput, and the plan's decoder is test_decoding",
            "take `decoder` out of [stream], or [transform] out of the plan",
        ));
    }
    if file.source.publication.is_some() {
        return Err(plan_error(
            "test_decoding reads no publication, and the plan names one",
            "take `publication` out of [source], or `decoder` out of [stream]",
        ));
    }
    Ok(Plugin::TestDecoding)
}
