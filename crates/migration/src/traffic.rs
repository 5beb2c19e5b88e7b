//! How clients are held, moved and released. A platform implements [`Traffic`]; it decides
//! nothing.

mod command;

use std::time::Duration;

pub use command::CommandHooks;

/// The part of the plan that says how clients are moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TrafficPlan {
    /// Nobody is told: clients are ended by the fence, and the operator points them to the
    /// target.
    #[default]
    None,
    /// The operator's own commands.
    Command(CommandPlan),
}

/// The operator's commands; each is run by the shell, and one that is missing is skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandPlan {
    /// Makes clients wait.
    pub hold: Option<String>,
    /// Points clients to the target.
    pub switch: Option<String>,
    /// Lets clients go on.
    pub release: Option<String>,
    /// Succeeds when clients reach the target.
    pub verify: Option<String>,
    /// How long each may take.
    pub timeout: Duration,
}

/// Where a step stands, which the hooks get in their environment.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The migration's name.
    pub migration: String,
    /// `host:port/database` of the source.
    pub source: String,
    /// `host:port/database` of the target.
    pub target: String,
}

/// Which side clients go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Back to the source: the switch was not made.
    Source,
    /// To the target.
    Target,
}

/// A step that failed or took too long.
#[derive(Debug, thiserror::Error)]
#[error("traffic: {step}: {why}")]
pub struct TrafficError {
    /// `hold`, `switch`, `release` or `verify`.
    pub step: &'static str,
    /// What happened.
    pub why: String,
}

/// Moves clients. Each step may be called again after a crash.
#[derive(Clone, Debug)]
pub enum Traffic {
    /// Nobody is told.
    None,
    /// The operator's commands.
    Command(CommandHooks),
}

impl Traffic {
    /// From the plan.
    pub fn new(plan: &TrafficPlan, scene: Scene) -> Self {
        match plan {
            TrafficPlan::None => Traffic::None,
            TrafficPlan::Command(commands) => {
                Traffic::Command(CommandHooks::new(commands.clone(), scene))
            }
        }
    }

    /// Makes clients wait.
    pub async fn hold(&self, within: Duration) -> Result<(), TrafficError> {
        match self {
            Traffic::None => Ok(()),
            Traffic::Command(hooks) => hooks.hold(within).await,
        }
    }

    /// Points clients to the target.
    pub async fn switch(&self, within: Duration) -> Result<(), TrafficError> {
        match self {
            Traffic::None => Ok(()),
            Traffic::Command(hooks) => hooks.switch(within).await,
        }
    }

    /// Lets clients go on, on the side that serves.
    pub async fn release(&self, to: Direction, within: Duration) -> Result<(), TrafficError> {
        match self {
            Traffic::None => Ok(()),
            Traffic::Command(hooks) => hooks.release(to, within).await,
        }
    }

    /// Looks whether clients reach the target.
    pub async fn verify(&self, within: Duration) -> Result<(), TrafficError> {
        match self {
            Traffic::None => Ok(()),
            Traffic::Command(hooks) => hooks.verify(within).await,
        }
    }
}
