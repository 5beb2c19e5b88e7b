//! The record as a page of Markdown.

use std::fmt::Write as _;

use crate::record::{Bench, Record, Workload};
use crate::turns::{Contestant, ratio};

const HEAD: &str = "\
# Benchmarks

Written by `cargo xtask bench load|apply|verify|cutover`; do not edit it. The figures are in \
`benchmarks.json` too.

Trunkline and its peers ran in turn on the same data, on one machine together with both \
servers. Seconds are medians; a ratio is the median of the ratios of runs of one turn, ours \
to theirs: below 1 we are faster. After each run the contents were compared with the \
source's. CPU is split between the tool and the two servers; memory is the most that the tool \
and what it started held at a look (ten a second), what they share counted once.
";

/// The whole page.
pub(crate) fn whole(record: &Record) -> String {
    let mut text = HEAD.to_owned();
    for (name, bench) in &record.benches {
        let _ = write!(text, "\n{}", section(name, bench));
    }
    text
}

/// One bench.
pub(crate) fn section(name: &str, bench: &Bench) -> String {
    let machine = &bench.machine;
    let settings: Vec<String> = bench
        .settings
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let mut text = format!(
        "## {name}\n\n{} cores ({}), {} GB, {}, Linux {}. {}. Settings: {}.\n",
        machine.cores,
        machine.processor,
        machine.memory_gigabytes,
        machine.system,
        machine.kernel,
        bench.versions.join(", "),
        settings.join(", "),
    );
    if bench.size == "small" {
        text.push_str("\n**A trial of the harness with little data: the figures say nothing.**\n");
    }
    for each in &bench.workloads {
        let _ = write!(text, "\n{}", workload(each));
    }
    text
}

/// One workload.
pub(crate) fn workload(workload: &Workload) -> String {
    let mut text = format!("### {}\n{}\n", workload.name, workload.what);
    if let Some(ours) = workload.contestants.first() {
        text.push_str(
            "\n| | runs | seconds | ratio | CPU s: tool | source | target | memory MB |\n\
             |---|---|---|---|---|---|---|---|\n",
        );
        for contestant in &workload.contestants {
            text.push_str(&line(ours, contestant));
        }
    }
    if !workload.figures.is_empty() {
        text.push_str("\n| | |\n|---|---|\n");
        for (what, how_much) in &workload.figures {
            let _ = writeln!(text, "| {what} | {how_much} |");
        }
    }
    text
}

fn line(ours: &Contestant, contestant: &Contestant) -> String {
    let ratio = if ours.name == contestant.name {
        String::new()
    } else {
        format!("**{:.2}**", ratio(ours, contestant))
    };
    let runs: Vec<String> = contestant
        .runs
        .iter()
        .map(|run| format!("{:.1}", run.seconds))
        .collect();
    let peak = contestant.runs.iter().map(|run| run.peak_bytes).max();
    format!(
        "| {} | {} | {:.1} | {ratio} | {:.1} | {:.1} | {:.1} | {} |\n",
        contestant.name,
        runs.join(", "),
        contestant.median(|run| run.seconds),
        contestant.median(|run| run.client_cpu_seconds),
        contestant.median(|run| run.source_cpu_seconds),
        contestant.median(|run| run.target_cpu_seconds),
        peak.unwrap_or_default() >> 20,
    )
}
