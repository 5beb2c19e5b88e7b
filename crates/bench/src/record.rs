//! What was measured, kept as JSON beside the page that shows it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Order;
use crate::error::BenchError;
use crate::machine::Machine;
use crate::page;
use crate::turns::Contestant;

const FILE: &str = "benchmarks.json";
const PAGE: &str = "benchmarks.md";

/// All benches, each as it was run last.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) schema_version: u32,
    pub(crate) benches: BTreeMap<String, Bench>,
}

/// One bench.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bench {
    pub(crate) machine: Machine,
    pub(crate) versions: Vec<String>,
    pub(crate) settings: Vec<(String, String)>,
    /// `small` figures say nothing.
    pub(crate) size: String,
    pub(crate) workloads: Vec<Workload>,
}

/// What was done to the same data by each contestant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Workload {
    pub(crate) name: String,
    /// What it is, in a sentence.
    pub(crate) what: String,
    /// Ourselves first.
    pub(crate) contestants: Vec<Contestant>,
    /// Other figures: what, and how much with its unit.
    pub(crate) figures: Vec<(String, String)>,
}

impl Bench {
    /// A bench with no workload yet.
    pub(crate) async fn new(order: &Order) -> Self {
        let settings = crate::servers::SETTINGS.iter();
        Bench {
            machine: Machine::this(),
            versions: order.tools.versions().await,
            settings: settings
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            size: format!("{:?}", order.size).to_lowercase(),
            workloads: Vec::new(),
        }
    }

    /// Adds a workload, shows it, and keeps it where the order says: what was measured is not
    /// lost with a bench that is stopped later on.
    pub(crate) fn add(&mut self, order: &Order, workload: Workload) -> Result<(), BenchError> {
        eprintln!("{}", page::workload(&workload));
        if let Some(folder) = &order.docs {
            let mut record = Record::read(folder)?;
            record.keep(order.bench, self, &workload);
            record.write(folder)?;
        }
        self.workloads.push(workload);
        Ok(())
    }

    /// Whether both were run alike: on such a machine, with these versions and settings, on as
    /// much data.
    fn is_like(&self, other: &Bench) -> bool {
        (&self.machine, &self.versions, &self.settings, &self.size)
            == (
                &other.machine,
                &other.versions,
                &other.settings,
                &other.size,
            )
    }
}

impl Workload {
    /// Adds what one of the contestants' own CPU time was for each unit of the work.
    pub(crate) fn costing(mut self, amount: f64, unit: &str) -> Self {
        for contestant in &self.contestants {
            let own = contestant.median(|run| run.client_cpu_seconds);
            if own > 0.0 {
                let what = format!("{}: its own CPU for {unit}", contestant.name);
                let figure = format!("{:.2} s", own / amount);
                self.figures.push((what, figure));
            }
        }
        self
    }
}

impl Record {
    /// Puts a workload in the place of its last figures. Other workloads of the bench stay where
    /// they were run alike, and go where they were not: a section has one heading.
    fn keep(&mut self, name: &str, bench: &Bench, workload: &Workload) {
        let kept = self.benches.entry(name.to_owned()).or_default();
        if !kept.is_like(bench) {
            *kept = Bench {
                workloads: Vec::new(),
                ..bench.clone()
            };
        }
        let same = |other: &&mut Workload| other.name == workload.name;
        match kept.workloads.iter_mut().find(same) {
            Some(place) => *place = workload.clone(),
            None => kept.workloads.push(workload.clone()),
        }
    }

    /// The record of a folder; an empty one where there is none.
    pub(crate) fn read(folder: &Path) -> Result<Self, BenchError> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Record {
                    schema_version: 1,
                    ..Record::default()
                });
            }
            Err(cause) => return Err(BenchError::file(&path, cause)),
        };
        serde_json::from_str(&text).map_err(|cause| BenchError::Record {
            path: path.display().to_string(),
            cause,
        })
    }

    /// Writes the record, and the page that shows it.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), BenchError> {
        let path = folder.join(FILE);
        let json = serde_json::to_string_pretty(self).map_err(|cause| BenchError::Record {
            path: path.display().to_string(),
            cause,
        })?;
        let page = folder.join(PAGE);
        fs::write(&path, json + "\n").map_err(|cause| BenchError::file(&path, cause))?;
        fs::write(&page, page::whole(self)).map_err(|cause| BenchError::file(&page, cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench(size: &str) -> Bench {
        Bench {
            size: size.to_owned(),
            ..Bench::default()
        }
    }

    fn workload(name: &str, what: &str) -> Workload {
        Workload {
            name: name.to_owned(),
            what: what.to_owned(),
            ..Workload::default()
        }
    }

    fn kept(record: &Record) -> Vec<&str> {
        let workloads = record.benches["load"].workloads.iter();
        workloads.map(|each| each.what.as_str()).collect()
    }

    #[test]
    fn a_workload_takes_its_own_place_and_leaves_the_others() {
        let mut record = Record::default();
        for (name, what) in [("a", "a 1"), ("b", "b 1"), ("a", "a 2")] {
            record.keep("load", &bench("full"), &workload(name, what));
        }
        assert_eq!(kept(&record), ["a 2", "b 1"]);
    }

    #[test]
    fn figures_under_another_heading_go() {
        let mut record = Record::default();
        record.keep("load", &bench("small"), &workload("a", "a 1"));
        record.keep("load", &bench("full"), &workload("b", "b 1"));
        assert_eq!(kept(&record), ["b 1"]);
        assert_eq!(record.benches["load"].size, "full");
    }
}
