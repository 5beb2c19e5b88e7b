//! Smoke tests: what the operator wants to see of the server that is about to serve, before
//! clients are moved to it, or once they are there. Holds always: what a test's SQL does is
//! read-only and rolled back, and no test outlives the caller's deadline.

mod sql;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use trunkline_changes::Side;
use trunkline_postgres::Conninfo;

use crate::limits::SMOKE_SHOWN_CHARS;
use crate::shell::{self, Scene};
use sql::Prober;

/// One test, as the plan has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmokeTest {
    /// What the report calls it.
    pub name: String,
    /// How it is done.
    pub probe: Probe,
    /// What must be found; without it the probe must only succeed.
    pub expect: Option<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// When it is done.
    pub when: When,
}

/// How a smoke test looks at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// One statement on the server that is about to serve, in a read-only transaction that is
    /// rolled back. What it finds is the first column of the first row, as text.
    Sql(String),
    /// A command for the shell. What it finds is its standard output, without white space at
    /// the ends.
    Command(String),
}

/// When a smoke test is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Inside the pause, before the point of no return: a failure gives the cutover up.
    #[default]
    BeforeSwitch,
    /// After clients were let go on the new server: a failure is reported.
    AfterRelease,
    /// Both times.
    Both,
}

/// The moment of a cutover at which tests are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before the point of no return. The first failure ends the tests: clients wait.
    BeforeSwitch,
    /// After clients were let go. Every test is run.
    AfterRelease,
}

impl When {
    fn includes(self, moment: Moment) -> bool {
        match self {
            When::Both => true,
            When::BeforeSwitch => moment == Moment::BeforeSwitch,
            When::AfterRelease => moment == Moment::AfterRelease,
        }
    }
}

/// How one test came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SmokeOutcome {
    /// The test.
    pub name: String,
    /// When it was run.
    pub moment: Moment,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// Whether it found what it should.
    pub passed: bool,
    /// Why not.
    pub why: Option<String>,
}

/// Smoke tests of which at least one failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SmokeFailure {
    /// The server that was looked at.
    pub(crate) serves: Side,
    /// Every test that was run, those that passed too.
    pub(crate) outcomes: Vec<SmokeOutcome>,
}

impl fmt::Display for SmokeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: Vec<String> = self
            .outcomes
            .iter()
            .filter(|outcome| !outcome.passed)
            .map(|outcome| {
                let why = outcome.why.as_deref().unwrap_or("it failed");
                format!("smoke test `{}`: {why}", outcome.name)
            })
            .collect();
        write!(f, "{}: {}", self.serves, failed.join("; "))
    }
}

impl std::error::Error for SmokeFailure {}

/// Runs the tests of a moment one after the other on the server that `conninfo` leads to,
/// which serves or is about to; none of them after `deadline`.
pub(crate) async fn run_smoke(
    tests: &[SmokeTest],
    moment: Moment,
    serves: Side,
    conninfo: &Conninfo,
    scene: &Scene,
    deadline: Instant,
) -> Result<Vec<SmokeOutcome>, SmokeFailure> {
    let mut prober = Prober::new(conninfo);
    let mut outcomes: Vec<SmokeOutcome> = Vec::new();
    for test in tests.iter().filter(|test| test.when.includes(moment)) {
        let began = Instant::now();
        let ends = deadline.min(began + test.timeout);
        let found = match &test.probe {
            Probe::Sql(sql) => prober.look(sql, ends).await,
            Probe::Command(command) => {
                let within = ends - Instant::now();
                let said = shell::run(scene, "smoke", serves, command, within).await;
                said.map(Some).map_err(|error| error.to_string())
            }
        };
        let why = found.and_then(|found| judge(test.expect.as_deref(), found.as_deref()));
        outcomes.push(SmokeOutcome {
            name: test.name.clone(),
            moment,
            ms: began.elapsed().as_secs_f64() * 1000.0,
            passed: why.is_ok(),
            why: why.err(),
        });
        if moment == Moment::BeforeSwitch && outcomes.iter().any(|outcome| !outcome.passed) {
            break;
        }
    }
    prober.close().await;
    if outcomes.iter().all(|outcome| outcome.passed) {
        Ok(outcomes)
    } else {
        Err(SmokeFailure { serves, outcomes })
    }
}

/// Whether what was found is what was expected; the error says both.
fn judge(expected: Option<&str>, found: Option<&str>) -> Result<(), String> {
    let Some(expected) = expected else {
        return Ok(());
    };
    match found {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(format!(
            "expected `{}`, found `{}`",
            shown(expected),
            shown(found)
        )),
        None => Err(format!("expected `{}`, found nothing", shown(expected))),
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SMOKE_SHOWN_CHARS) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}
