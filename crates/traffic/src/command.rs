//! The operator's own commands as traffic adapter: for DNS, a service, a feature flag,
//! anything. Holds always: a command that outlives its time is ended, with its children.

use std::time::Duration;

use trunkline_changes::Side;
use trunkline_migration::shell::{self, Scene};
use trunkline_migration::traffic::{Step, Traffic, TrafficError};

/// The operator's commands; each is run by the shell, and one that is missing is skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandPlan {
    /// Makes clients wait.
    pub hold: Option<String>,
    /// Points clients to the side in `TRUNKLINE_SERVES`.
    pub switch: Option<String>,
    /// Lets clients go on.
    pub release: Option<String>,
    /// Succeeds when clients reach the side in `TRUNKLINE_SERVES`.
    pub verify: Option<String>,
    /// How long each may take.
    pub timeout: Duration,
}

/// Runs the plan's commands with `TRUNKLINE_MIGRATION`, `TRUNKLINE_STEP`,
/// `TRUNKLINE_SOURCE`, `TRUNKLINE_TARGET` (`host:port/database`, no password) and
/// `TRUNKLINE_SERVES` (`source` or `target`) in their environment.
#[derive(Clone, Debug)]
pub struct CommandHooks {
    plan: CommandPlan,
    scene: Scene,
}

impl CommandHooks {
    /// The commands of a plan, for one migration.
    pub fn new(plan: CommandPlan, scene: Scene) -> Self {
        CommandHooks { plan, scene }
    }

    async fn run(
        &self,
        step: &'static str,
        command: Option<&str>,
        serves: Side,
        within: Duration,
    ) -> Result<(), TrafficError> {
        let Some(command) = command else {
            return Ok(());
        };
        let within = self.plan.timeout.min(within);
        let done = shell::run(&self.scene, step, serves, command, within).await;
        done.map(|_said| ()).map_err(|error| TrafficError {
            step,
            why: error.to_string(),
        })
    }
}

impl Traffic for CommandHooks {
    fn describe(&self) -> String {
        "by the plan's commands".to_owned()
    }

    /// The commands have nothing to say before they are run.
    fn look(&self, _serves: Side, _within: Duration) -> Step<'_> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn hold(&self, serves: Side, within: Duration) -> Step<'_> {
        Box::pin(self.run("hold", self.plan.hold.as_deref(), serves, within))
    }

    fn point_at(&self, side: Side, within: Duration) -> Step<'_> {
        Box::pin(self.run("switch", self.plan.switch.as_deref(), side, within))
    }

    fn release(&self, serves: Side, within: Duration) -> Step<'_> {
        Box::pin(self.run("release", self.plan.release.as_deref(), serves, within))
    }

    fn verify(&self, serves: Side, within: Duration) -> Step<'_> {
        Box::pin(self.run("verify", self.plan.verify.as_deref(), serves, within))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(switch: &str) -> CommandHooks {
        let plan = CommandPlan {
            switch: Some(switch.to_owned()),
            timeout: Duration::from_millis(300),
            ..CommandPlan::default()
        };
        let scene = Scene {
            migration: "m".to_owned(),
            source: "a:1/x".to_owned(),
            target: "b:2/x".to_owned(),
        };
        CommandHooks::new(plan, scene)
    }

    const WITHIN: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_hook_sees_which_side_serves() {
        let hooks = hooks("test \"$TRUNKLINE_SERVES:$TRUNKLINE_TARGET\" = target:b:2/x");
        hooks
            .point_at(Side::Target, WITHIN)
            .await
            .expect("the environment is set");
        let held = hooks.hold(Side::Source, WITHIN).await;
        held.expect("a missing hook is skipped");
    }

    #[tokio::test]
    async fn a_rollback_holds_the_clients_of_the_target() {
        let mut hooks = hooks("");
        hooks.plan.hold = Some("test \"$TRUNKLINE_SERVES\" = target".to_owned());
        let held = hooks.hold(Side::Target, WITHIN).await;
        held.expect("it is told which side serves");
    }

    #[tokio::test]
    async fn a_failing_hook_says_why() {
        let error = hooks("echo no route >&2; exit 3")
            .point_at(Side::Target, WITHIN)
            .await;
        let text = error.expect_err("it failed").to_string();
        assert!(
            text.contains("switch") && text.contains("no route"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_hook_that_hangs_is_ended() {
        let error = hooks("sleep 60")
            .point_at(Side::Target, WITHIN)
            .await
            .expect_err("it hangs");
        assert!(error.to_string().contains("too long"));
    }
}
