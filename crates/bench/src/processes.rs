//! What processes used, from `/proc`: CPU time of a server with all its children, and memory
//! of a program with all that it started.

use std::collections::BTreeMap;
use std::fs;

use crate::limits::TICKS_PER_SECOND;

/// What `/proc/PID/stat` says of one process.
#[derive(Clone, Copy, Debug)]
struct Stat {
    parent: u32,
    /// Its own time, in ticks.
    own: u64,
    /// That of children that it waited for, in ticks.
    waited: u64,
}

/// CPU seconds of a process, of the children that it waited for, and of those that run.
pub(crate) fn cpu_seconds(root: u32) -> f64 {
    let all = stats();
    let ticks: u64 = tree(root, &all)
        .iter()
        .filter_map(|id| all.get(id))
        .map(|stat| stat.own + stat.waited)
        .sum();
    seconds(ticks)
}

/// CPU seconds of the children that this process waited for.
pub(crate) fn waited_seconds() -> f64 {
    read(std::process::id()).map_or(0.0, |stat| seconds(stat.waited))
}

/// Bytes of memory of a process and its descendants; what several share is counted once
/// (`Pss` of `/proc/PID/smaps_rollup`).
pub(crate) fn memory_bytes(root: u32) -> u64 {
    let all = stats();
    tree(root, &all).into_iter().filter_map(proportional).sum()
}

fn proportional(id: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[expect(clippy::cast_precision_loss, reason = "hundredths of seconds")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / f64::from(TICKS_PER_SECOND)
}

fn stats() -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            Some((id, read(id)?))
        })
        .collect()
}

fn read(id: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may hold spaces and parentheses.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        own: number(11)? + number(12)?,
        waited: number(13)? + number(14)?,
    })
}

fn tree(root: u32, all: &BTreeMap<u32, Stat>) -> Vec<u32> {
    let mut found = vec![root];
    let mut looked = 0;
    while let Some(&parent) = found.get(looked) {
        looked += 1;
        let children = all.iter().filter(|(_, stat)| stat.parent == parent);
        found.extend(children.map(|(id, _)| *id));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_worked_and_was_waited_for_is_counted() {
        let before = waited_seconds();
        let status = std::process::Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"])
            .status();
        assert!(status.is_ok_and(|status| status.success()));
        assert!(waited_seconds() > before);
        assert!(cpu_seconds(std::process::id()) > before);
    }

    #[test]
    fn a_process_has_memory() {
        assert!(memory_bytes(std::process::id()) > 100_000);
    }
}
