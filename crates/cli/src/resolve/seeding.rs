//! `[seed]`: which of its keys belong together, and what they mean.

use std::path::PathBuf;

use trunkline_migration::Error;
use trunkline_migration::plan::{PositionFrom, Seed, Snapshot};

use super::making::{Keys, absolute};
use super::{one_of, plan_error};
use crate::plan_file::{PlanFile, SeedTable};

/// What the plan file says; `target_port` is where the target is to be.
pub(super) fn seed(file: &PlanFile, target_port: u16) -> Result<Seed, Error> {
    let seed = &file.seed;
    one_of("method", seed.method.as_deref(), &["copy", "snapshot"])?;
    one_of(
        "provider",
        seed.provider.as_deref(),
        &["operator", "basebackup"],
    )?;
    let is_snapshot = seed.method.as_deref() == Some("snapshot");
    let made = seed.provider.as_deref() == Some("basebackup");
    refuse_strays(seed, is_snapshot, made)?;
    if !is_snapshot {
        return Ok(Seed::Copy);
    }
    refuse_structure(file)?;
    if file.relay.is_some() {
        return Err(plan_error(
            "[relay] and [seed] method = \"snapshot\" are both given",
            "this version knows them apart only: leave one of them out",
        ));
    }
    Ok(Seed::Snapshot(if made {
        Snapshot::BaseBackup(keys(seed).base_backup("seed", target_port, "target")?)
    } else {
        Snapshot::Operator(position(seed)?)
    }))
}

/// Keys that mean nothing beside the others.
fn refuse_strays(seed: &SeedTable, is_snapshot: bool, made: bool) -> Result<(), Error> {
    let of_a_copy = [
        ("index_jobs", seed.index_jobs.is_some()),
        (
            "split_tables_larger_than",
            seed.split_tables_larger_than.is_some(),
        ),
    ];
    let of_a_snapshot = [("provider", seed.provider.is_some())];
    let of_an_operator = [
        ("position", seed.position.is_some()),
        ("position_from", seed.position_from.is_some()),
    ];
    refuse(&of_a_copy, !is_snapshot, "method = \"copy\"")?;
    refuse(&of_a_snapshot, is_snapshot, "method = \"snapshot\"")?;
    if !(is_snapshot && made) {
        keys(seed).refuse("seed")?;
    }
    let operator = is_snapshot && !made;
    refuse(&of_an_operator, operator, "provider = \"operator\"")
}

fn refuse(keys: &[(&str, bool)], allowed: bool, with: &str) -> Result<(), Error> {
    match keys.iter().find(|(_, given)| *given) {
        Some((key, _)) if !allowed => Err(plan_error(
            format!("[seed] has `{key}`, which only means something with {with}"),
            format!("take `{key}` out, or say {with}"),
        )),
        _ => Ok(()),
    }
}

/// The structure comes with the copy.
fn refuse_structure(file: &PlanFile) -> Result<(), Error> {
    let structure = &file.structure;
    let given = [
        ("restore", structure.restore),
        ("owners", structure.owners),
        ("privileges", structure.privileges),
        ("drop_if_exists", structure.drop_if_exists),
    ];
    match given.iter().find(|(_, value)| value.is_some()) {
        Some((key, _)) => Err(plan_error(
            format!("[structure] {key} and [seed] method = \"snapshot\" are both given"),
            "a physical copy has the source's structure: leave [structure] out",
        )),
        None => Ok(()),
    }
}

/// Those of a copy that we make.
fn keys(seed: &SeedTable) -> Keys<'_> {
    Keys {
        data_directory: seed.data_directory.as_deref(),
        port: seed.port,
        user: seed.user.as_deref(),
        upgrade_to: seed.upgrade_to,
        programs: &seed.programs,
    }
}

fn position(seed: &SeedTable) -> Result<Option<PositionFrom>, Error> {
    match (seed.position.as_deref(), seed.position_from.as_deref()) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(plan_error(
            "[seed] has both `position` and `position_from`",
            "use one of them",
        )),
        (Some(text), None) => match text.parse() {
            Ok(position) => Ok(Some(PositionFrom::Given(position))),
            Err(error) => Err(plan_error(
                format!("[seed] position: {error}"),
                "write it as the server does, like \"16/B374D848\"",
            )),
        },
        (None, Some("aurora")) => Ok(Some(PositionFrom::Aurora)),
        (None, Some("rds")) => Ok(Some(PositionFrom::Rds)),
        (None, Some(text)) => match text.strip_prefix("log:") {
            Some(path) => {
                let path = PathBuf::from(path);
                absolute("seed", "position_from", &path)?;
                Ok(Some(PositionFrom::Log(path)))
            }
            None => Err(plan_error(
                format!("`position_from = \"{text}\"` is not known"),
                "this version knows: log:/path/to/the/log, aurora, rds",
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::seed;
    use crate::plan_file::PlanFile;
    use trunkline_migration::plan::{PositionFrom, Seed, Snapshot};

    fn read(text: &str) -> Result<Seed, String> {
        let file = PlanFile::parse(text).map_err(|(why, _)| why)?;
        seed(&file, 5433).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_that_mean_nothing_together_are_refused_by_name() {
        for (text, named) in [
            ("[seed]\nprovider = \"operator\"", "provider"),
            (
                "[seed]\nmethod = \"snapshot\"\nindex_jobs = 4",
                "index_jobs",
            ),
            ("[seed]\nmethod = \"snapshot\"\nport = 5433", "port"),
            (
                "[seed]\nmethod = \"snapshot\"\nprovider = \"basebackup\"\nposition = \"0/1\"",
                "position",
            ),
            (
                "[seed]\nmethod = \"snapshot\"\nprovider = \"basebackup\"",
                "data_directory",
            ),
            (
                "[seed]\nmethod = \"snapshot\"\nprovider = \"basebackup\"\n\
                 data_directory = \"/x\"\nport = 5434",
                "5434",
            ),
            (
                "[seed]\nmethod = \"snapshot\"\n[structure]\nowners = false",
                "owners",
            ),
            (
                "[seed]\nmethod = \"snapshot\"\nposition = \"0/1\"\nposition_from = \"rds\"",
                "both",
            ),
            (
                "[seed]\nmethod = \"snapshot\"\nposition_from = \"guess\"",
                "guess",
            ),
        ] {
            let why = read(text).expect_err(text);
            assert!(why.contains(named), "{text}: {why}");
        }
    }

    #[test]
    fn a_storage_copy_is_somebody_elses_unless_it_is_said() {
        let awaited = read("[seed]\nmethod = \"snapshot\"");
        assert_eq!(awaited, Ok(Seed::Snapshot(Snapshot::Operator(None))));
        let log = read("[seed]\nmethod = \"snapshot\"\nposition_from = \"log:/var/log/pg\"");
        let path = PositionFrom::Log("/var/log/pg".into());
        assert_eq!(log, Ok(Seed::Snapshot(Snapshot::Operator(Some(path)))));
        assert_eq!(read("[seed]\njobs = 2"), Ok(Seed::Copy));
    }
}
