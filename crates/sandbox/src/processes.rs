//! Signals to a postmaster and to its children.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal; a process that is gone is not an error.
pub(crate) fn signal(process_id: u32, signal: Signal) {
    let pid = i32::try_from(process_id).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // ESRCH: it has ended by itself, which is what most signals here are for.
        let _ = kill_process(pid, signal);
    }
}

/// The direct children of a process. Empty where there is no `/proc`.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|process_id| parent_of(*process_id) == Some(parent))
        .collect()
}

/// Reads the fourth field of `/proc/N/stat`; the second, the name, may hold spaces.
fn parent_of(process_id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

/// Whether a process exists and has not become a zombie.
pub(crate) fn runs(process_id: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process_id}/stat")) else {
        return false;
    };
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, after)| after.split_whitespace().next());
    !matches!(state, None | Some("Z" | "X"))
}
