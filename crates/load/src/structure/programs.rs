//! Which `pg_dump` and `pg_restore` to run: both from one folder, not older than the source
//! (`pg_dump` refuses a newer server), and best of the newer side's version.

use std::path::{Path, PathBuf};

use trunkline_postgres::{
    ServerVersion, distinct_folders, folders_on_path, packaged_folders, program_version,
};

use crate::error::LoadError;

/// A folder's `pg_dump` and `pg_restore`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// Path of `pg_dump`.
    pub pg_dump: PathBuf,
    /// Path of `pg_restore`.
    pub pg_restore: PathBuf,
    /// What `pg_dump` says of itself.
    pub version: ServerVersion,
}

impl Programs {
    /// The most suitable of this machine's: looked for in `further` folders, where
    /// distributions install them, and on `PATH`.
    pub async fn find(
        source: ServerVersion,
        target: ServerVersion,
        further: &[PathBuf],
    ) -> Result<Programs, LoadError> {
        let found = all(further).await;
        choose(&found, source, target).cloned().ok_or_else(|| {
            let versions: Vec<String> = found.iter().map(|p| p.version.to_string()).collect();
            LoadError::NoPrograms {
                needed: source.major(),
                found: if versions.is_empty() {
                    "none".to_owned()
                } else {
                    versions.join(", ")
                },
            }
        })
    }

    /// The newest of this machine's, which may be too old for a source.
    pub async fn newest() -> Option<Programs> {
        let found = all(&[]).await;
        found
            .into_iter()
            .max_by_key(|programs| (programs.version.major(), programs.version.minor()))
    }
}

/// In the order of the folders. Each program is a process that is waited for: all at once.
async fn all(further: &[PathBuf]) -> Vec<Programs> {
    let probes: Vec<_> = folders(further)
        .into_iter()
        .map(|folder| tokio::spawn(async move { probe(&folder).await }))
        .collect();
    let mut found = Vec::new();
    for probe in probes {
        found.extend(probe.await.ok().flatten());
    }
    found
}

/// Of those that can read the source: the newer side's major version, else the next one
/// above it, else the newest; of one major version, the newest minor release.
fn choose(found: &[Programs], source: ServerVersion, target: ServerVersion) -> Option<&Programs> {
    let wanted = source.major().max(target.major());
    found
        .iter()
        .filter(|programs| programs.version.major() >= source.major())
        .min_by_key(|programs| {
            let major = programs.version.major();
            let newest_minor_first = u32::MAX - programs.version.minor();
            if major >= wanted {
                (0, major, newest_minor_first)
            } else {
                (1, u32::MAX - major, newest_minor_first)
            }
        })
}

fn folders(further: &[PathBuf]) -> Vec<PathBuf> {
    distinct_folders([further.to_vec(), packaged_folders(), folders_on_path()].concat())
}

async fn probe(folder: &Path) -> Option<Programs> {
    let (pg_dump, pg_restore) = (folder.join("pg_dump"), folder.join("pg_restore"));
    if !pg_restore.is_file() {
        return None;
    }
    Some(Programs {
        version: program_version(&pg_dump).await?,
        pg_dump,
        pg_restore,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(versions: &[u32]) -> Vec<Programs> {
        let folder = |version: u32| PathBuf::from(format!("/{version}"));
        versions
            .iter()
            .map(|&version| Programs {
                pg_dump: folder(version).join("pg_dump"),
                pg_restore: folder(version).join("pg_restore"),
                version: ServerVersion(version),
            })
            .collect()
    }

    fn chosen(found: &[u32], source: u32, target: u32) -> Option<u32> {
        let found = of(found);
        choose(&found, ServerVersion(source), ServerVersion(target)).map(|p| p.version.0)
    }

    #[test]
    fn the_newer_sides_version_is_chosen_when_it_is_there() {
        let all = [150_018, 160_014, 180_004, 150_020];
        assert_eq!(chosen(&all, 150_020, 150_020), Some(150_020));
        assert_eq!(chosen(&all, 120_022, 160_001), Some(160_014));
        assert_eq!(
            chosen(&all, 130_023, 170_010),
            Some(180_004),
            "the next one above"
        );
        assert_eq!(chosen(&all, 170_010, 120_022), Some(180_004));
        assert_eq!(chosen(&[150_018, 160_014], 130_000, 180_000), Some(160_014));
    }

    #[test]
    fn a_program_older_than_the_source_is_never_chosen() {
        assert_eq!(chosen(&[150_018, 160_014], 170_010, 170_010), None);
    }
}
