//! Data folders made once by `initdb` and copied from then on: a copy takes a tenth of the time.
//!
//! Templates lie in the cache folder, one per installation and set of options. They are made
//! under another name and renamed, so that processes that race for one never see half of it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::error::{AtPath, SandboxError};
use crate::installation::{Installation, cache_folder};
use crate::system_identifier;

/// Makes `data` a fresh data folder, from a template where that is possible.
pub(crate) fn create(
    account: Account,
    installation: &Installation,
    options: &[String],
    data: &Path,
) -> Result<(), SandboxError> {
    match template(account, installation, options)? {
        Some(template) => {
            account.copy_folder(&template, data)?;
            system_identifier::renew(data)
        }
        None => initdb(account, installation, options, data),
    }
}

/// The template's folder, made now if need be; `None` where the cache folder is not ours.
fn template(
    account: Account,
    installation: &Installation,
    options: &[String],
) -> Result<Option<PathBuf>, SandboxError> {
    let Ok(parent) = templates_folder(account) else {
        return Ok(None);
    };
    let mut hasher = DefaultHasher::new();
    (&installation.bin, options).hash(&mut hasher);
    let name = format!("{}-{:016x}", installation.version, hasher.finish());
    let template = parent.join(name);
    if template.join("PG_VERSION").is_file() {
        return Ok(Some(template));
    }
    let Ok(fresh) = account.new_folder(&parent, "unfinished-") else {
        return Ok(None);
    };
    let data = fresh.join("data");
    let made = initdb(account, installation, options, &data);
    // A rename onto a folder that is not empty fails: somebody was faster, and theirs will do.
    let renamed = fs::rename(&data, &template);
    fs::remove_dir_all(&fresh).at(&fresh)?;
    made?;
    match renamed {
        Err(cause) if !template.join("PG_VERSION").is_file() => Err(cause).at(template),
        _ => Ok(Some(template)),
    }
}

/// The account must be able to reach it, whatever our umask is.
fn templates_folder(account: Account) -> Result<PathBuf, SandboxError> {
    let cache = cache_folder();
    if !cache.is_dir() {
        fs::create_dir_all(&cache).at(&cache)?;
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).at(&cache)?;
    }
    let parent = cache.join("templates");
    fs::create_dir_all(&parent).at(&parent)?;
    account.own(&parent)?;
    Ok(parent)
}

fn initdb(
    account: Account,
    installation: &Installation,
    options: &[String],
    data: &Path,
) -> Result<(), SandboxError> {
    let mut arguments: Vec<String> = ["--no-sync", "--auth=trust", "--username=postgres"]
        .map(str::to_owned)
        .to_vec();
    arguments.push(format!("--pgdata={}", data.display()));
    arguments.extend_from_slice(options);
    account.run(&installation.bin.join("initdb"), &arguments)?;
    Ok(())
}
