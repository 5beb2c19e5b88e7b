//! Files of others, changed so that a reader sees the old or the new whole, never between.
//! Mode and owner stay; of a link the file behind it is replaced.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::failure::{Failure, file};

/// Reads a file that is text.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(file(path))
}

/// Whether a file can be replaced, by making one beside it that is gone at once.
pub(crate) fn can_replace(path: &Path) -> Result<(), Failure> {
    let real = fs::canonicalize(path).map_err(file(path))?;
    let folder = real.parent().unwrap_or(Path::new("/"));
    let made = tempfile::Builder::new()
        .prefix(".trunkline-")
        .tempfile_in(folder);
    made.map(drop).map_err(file(folder))
}

/// Puts new content in place of a file: a new file beside it, made durable, then renamed.
pub(crate) fn replace(path: &Path, content: &str) -> Result<(), Failure> {
    let real = fs::canonicalize(path).map_err(file(path))?;
    let folder = real.parent().unwrap_or(Path::new("/"));
    let before = fs::metadata(&real).map_err(file(&real))?;
    let mut fresh = tempfile::Builder::new()
        .prefix(".trunkline-")
        .tempfile_in(folder)
        .map_err(file(folder))?;
    fresh.write_all(content.as_bytes()).map_err(file(&real))?;
    let made = fresh.as_file().metadata().map_err(file(&real))?;
    if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
        let owned = chown(fresh.path(), Some(before.uid()), Some(before.gid()));
        owned.map_err(|cause| {
            Failure::found(format!(
                "{}: its owner cannot be kept ({cause}); run as its owner or as root",
                real.display()
            ))
        })?;
    }
    // After the owner: a change of owner may take bits away.
    let mode = fs::Permissions::from_mode(before.mode() & 0o7777);
    fs::set_permissions(fresh.path(), mode).map_err(file(&real))?;
    fresh.as_file().sync_all().map_err(file(&real))?;
    fresh
        .persist(&real)
        .map_err(|error| file(&real)(error.error))?;
    let folder_handle = File::open(folder).map_err(file(folder))?;
    folder_handle.sync_all().map_err(file(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_and_owner_stay_and_a_link_stays_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().join("real.ini");
        let link = folder.path().join("link.ini");
        fs::write(&real, "old").expect("it is ours");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("it is ours");
        // Only root may give a file away; others keep their own.
        let given = chown(&real, Some(12_345), Some(12_345)).is_ok();
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        replace(&link, "new").expect("it can be replaced");
        let after = fs::metadata(&real).expect("it is there");
        assert_eq!(fs::read_to_string(&link).expect("it is there"), "new");
        assert!(link.is_symlink());
        assert_eq!(after.mode() & 0o7777, 0o640);
        assert!(!given || (after.uid(), after.gid()) == (12_345, 12_345));
        let left = fs::read_dir(folder.path()).expect("it is there").count();
        assert_eq!(left, 2, "nothing else is left in the folder");
    }
}
