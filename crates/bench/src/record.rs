//! What was measured, kept as JSON beside the page that shows it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

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
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bench {
    pub(crate) machine: Machine,
    pub(crate) versions: Vec<String>,
    pub(crate) settings: Vec<(String, String)>,
    /// `small` figures say nothing.
    pub(crate) size: String,
    pub(crate) workloads: Vec<Workload>,
}

/// What was done to the same data by each contestant.
#[derive(Debug, Serialize, Deserialize)]
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
    pub(crate) async fn new(order: &crate::Order) -> Self {
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

    /// Adds a workload, and shows it.
    pub(crate) fn add(&mut self, workload: Workload) {
        eprintln!("{}", page::workload(&workload));
        self.workloads.push(workload);
    }
}

impl Record {
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
