//! What an operator does next, phase by phase.

use crate::journal::State;
use crate::phase::Phase;

/// What an operator does next.
pub fn next_steps(phase: Phase, held: bool) -> Vec<String> {
    let steps: &[&str] = match phase {
        Phase::Aborted => &["trunkline run (begins anew)"],
        Phase::Completed => &[],
        Phase::Switched if held => &[
            "trunkline rollback, while something may still be wrong with the target",
            "trunkline complete, when the old database is not needed any more",
        ],
        Phase::Switched => &[
            "trunkline run (keeps the old database up to date; until then the target keeps its log)",
            "trunkline rollback, while something may still be wrong with the target",
            "trunkline complete, when the old database is not needed any more",
        ],
        Phase::RolledBack if !held => &[
            "trunkline run (follows the source again)",
            "trunkline cutover, again",
            "trunkline abort, to give the move up",
        ],
        Phase::Fenced | Phase::Drained if !held => {
            &["trunkline run (gives the source back and follows again)"]
        }
        Phase::FencedBack | Phase::DrainedBack if !held => {
            &["trunkline run (gives the target back and follows again)"]
        }
        Phase::Following | Phase::Verified if held => &["trunkline verify", "trunkline cutover"],
        Phase::Following | Phase::Verified => &[
            "trunkline run (goes on following; until then the source keeps its log)",
            "trunkline verify",
            "trunkline cutover",
        ],
        _ if held => &["wait: it is running"],
        _ => &["trunkline run (goes on where it was)"],
    };
    steps.iter().map(|step| (*step).to_owned()).collect()
}

impl State {
    /// What an operator does next.
    pub(crate) fn next_steps(&self, held: bool) -> Vec<String> {
        if self.phase == Phase::Switched && self.leg.is_none() {
            return vec![
                "trunkline complete, when the old database is not needed any more".to_owned(),
            ];
        }
        next_steps(self.phase, held)
    }
}
