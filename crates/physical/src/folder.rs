//! Whose a data folder is. While it is being made, a receipt stands beside it (the program
//! wants an empty folder); once it is whole, the receipt lies in it. Without a receipt of the
//! same owner nothing is ever removed.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::account::{Account, sync_folder_of};
use crate::error::{AtPath, PhysicalError};
use crate::limits::{LOOK_EVERY, ORPHAN_GOES_WITHIN};

/// The receipt in a whole copy.
const INSIDE: &str = "trunkline.receipt";

/// What stands in the place of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Nothing, or an empty folder.
    Nothing,
    /// A copy of ours that was not finished.
    Unfinished,
    /// A whole copy of ours.
    Whole,
    /// Something that is not ours.
    Foreign,
}

/// Looks what stands at a place, for one owner.
pub(crate) fn made(data: &Path, owner: &str) -> Result<Made, PhysicalError> {
    if holds(&data.join(INSIDE), owner)? {
        return Ok(Made::Whole);
    }
    if holds(&beside(data), owner)? {
        return Ok(Made::Unfinished);
    }
    match fs::read_dir(data) {
        Ok(mut entries) => Ok(match entries.next() {
            None => Made::Nothing,
            Some(_) => Made::Foreign,
        }),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Made::Nothing),
        Err(cause) => Err(cause).at("reading", data),
    }
}

/// Writes the receipt beside the folder, with the process that fills it.
pub(crate) fn begin(
    account: &Account,
    data: &Path,
    owner: &str,
    process: Option<u32>,
) -> Result<(), PhysicalError> {
    let process = process.map_or_else(String::new, |id| id.to_string());
    let text = format!("{owner}\n{process}\n");
    account.write(&beside(data), text.as_bytes())
}

/// The copy is whole: the receipt moves into it.
pub(crate) fn finish(account: &Account, data: &Path, owner: &str) -> Result<(), PhysicalError> {
    account.write(&data.join(INSIDE), format!("{owner}\n").as_bytes())?;
    remove_file(&beside(data))
}

/// Takes our receipts away: from now on the folder is the operator's.
pub(crate) fn release(data: &Path, owner: &str) -> Result<(), PhysicalError> {
    for receipt in [data.join(INSIDE), beside(data)] {
        if holds(&receipt, owner)? {
            remove_file(&receipt)?;
        }
    }
    Ok(())
}

/// Removes the folder; its receipt goes last, so that this can be repeated.
pub(crate) fn remove(account: &Account, data: &Path, owner: &str) -> Result<(), PhysicalError> {
    begin(account, data, owner, None)?;
    let removed = fs::remove_dir_all(data);
    let gone = |cause: &std::io::Error| {
        let empty = fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_none());
        // The folder itself may be a mount point, which stays.
        cause.kind() == std::io::ErrorKind::NotFound || empty
    };
    match removed {
        Err(cause) if !gone(&cause) => return Err(cause).at("removing", data),
        _ => {}
    }
    remove_file(&beside(data))
}

/// Ends the programs that still fill the folder for a process of ours that died.
pub(crate) async fn end_orphans(data: &Path) -> Result<(), PhysicalError> {
    let text = fs::read_to_string(beside(data)).unwrap_or_default();
    let group = text.lines().nth(1).and_then(|id| id.trim().parse().ok());
    let Some(group) = group else {
        return Ok(());
    };
    let limit = tokio::time::Instant::now() + ORPHAN_GOES_WITHIN;
    loop {
        let left = working_on(group, data);
        if left.is_empty() {
            return Ok(());
        }
        for process in left {
            // ESRCH: it has ended by itself.
            let _gone = kill_process(process, Signal::KILL);
        }
        if tokio::time::Instant::now() > limit {
            return Err(PhysicalError::Folder {
                path: data.to_owned(),
                why: format!("processes of the group {group} still write to it"),
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The processes of a group that have the folder among their arguments: numbers are used
/// again.
fn working_on(group: i32, data: &Path) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let of_group = entries.filter_map(|entry| {
        let id: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let named = String::from_utf8_lossy(&line).contains(&data.display().to_string());
        (named && group_of(&entry.path()) == Some(group)).then_some(id)
    });
    of_group.filter_map(Pid::from_raw).collect()
}

/// The fifth field of `/proc/N/stat`; the second, the name, may hold spaces.
fn group_of(process: &Path) -> Option<i32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(2)?.parse().ok()
}

fn beside(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(".trunkline");
    data.with_file_name(name)
}

fn holds(receipt: &Path, owner: &str) -> Result<bool, PhysicalError> {
    match fs::read_to_string(receipt) {
        Ok(text) => Ok(text.lines().next() == Some(owner)),
        Err(cause)
            if matches!(
                cause.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(false)
        }
        Err(cause) => Err(cause).at("reading", receipt),
    }
}

fn remove_file(path: &Path) -> Result<(), PhysicalError> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder_of(path),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(cause).at("removing", path),
    }
}
