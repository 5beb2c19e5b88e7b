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
    if file.migration.route.as_deref() == Some("subscription") {
        return Err(plan_error(
            "a subscription is read by pgoutput only, and the plan's decoder is test_decoding",
            "take `decoder` out of [stream], or set `route = \"stream\"`",
        ));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Plugin, String> {
        let file = PlanFile::parse(text).map_err(|(why, _)| why)?;
        decoder(&file).map_err(|error| error.to_string())
    }

    #[test]
    fn pgoutput_is_meant_unless_another_is_named() {
        assert_eq!(read(""), Ok(Plugin::Pgoutput));
        let plain = "[stream]\ndecoder = \"pgoutput\"";
        assert_eq!(read(plain), Ok(Plugin::Pgoutput));
        let text = "[stream]\ndecoder = \"test_decoding\"";
        assert_eq!(read(text), Ok(Plugin::TestDecoding));
        assert!(read("[stream]\ndecoder = \"wal2json\"").is_err());
    }

    #[test]
    fn what_needs_pgoutput_is_refused_with_another() {
        for (other, said) in [
            ("[source]\npublication = \"p\"", "no publication"),
            ("[relay]\nconninfo = \"host=standby\"", "relay"),
            ("[seed]\nmethod = \"snapshot\"", "storage copy"),
            ("[migration]\nroute = \"subscription\"", "subscription"),
            ("[transform]\nrename_schemas = { a = \"b\" }", "transform"),
        ] {
            let why = read(&format!("[stream]\ndecoder = \"test_decoding\"\n{other}"));
            let why = why.expect_err(other);
            assert!(why.contains(said), "{why}");
        }
    }
}
