//! The life of a migration as one pure function. What is not listed is refused.

use trunkline_changes::Lsn;

use crate::way::Way;

/// Where a migration stands. Each phase is set by the event named in [`Phase::after`], and
/// is durable in the journal before anything relies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The journal exists; nothing was looked at.
    Planned,
    /// The preflight passed.
    Checked,
    /// The publication and the slot stand on the source: no change is lost from here on.
    Prepared,
    /// Tables stand on the target, without indexes.
    Structured,
    /// Rows are being copied.
    Copying,
    /// Every row is copied, every index built.
    Loaded,
    /// Foreign keys and the rest of the structure are made, changes flow, and the target
    /// was near the source at least once.
    Following,
    /// A comparison at one position found no difference.
    Verified,
    /// The source refuses writes.
    Fenced,
    /// Everything written before the fence is committed on the target.
    Drained,
    /// The point of no return: clients belong to the target, and changes flow back.
    Switched,
    /// A rollback is under way, and the target refuses writes.
    FencedBack,
    /// Everything written on the target before its fence is committed on the source.
    DrainedBack,
    /// The rollback's point of no return: clients belong to the source again.
    RolledBack,
    /// Over, and nothing of ours is left.
    Completed,
    /// Given up, and nothing of ours is left.
    Aborted,
}

/// What moves a migration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// No blocker was found.
    CheckPassed,
    /// Publication and slot were made.
    SourcePrepared,
    /// The structure up to the rows was restored.
    StructureRestored,
    /// The first rows are about to be copied.
    CopyBegan,
    /// Rows and indexes are complete.
    CopyFinished,
    /// The target is a physical copy of the source, exactly as it was at this position.
    Seeded {
        /// The position.
        at: Lsn,
    },
    /// The structure is complete, and the lag fell below the plan's bound.
    CaughtUp,
    /// Both sides were equal at this position.
    FoundEqual {
        /// The position of the comparison.
        at: Lsn,
    },
    /// A comparison found differences.
    FoundDifferent {
        /// The position of the comparison.
        at: Lsn,
    },
    /// The side that serves was shown to refuse writes.
    WritesFenced,
    /// The side that serves was given back to its clients.
    FenceLifted,
    /// The barrier is committed on the other side.
    BarrierApplied {
        /// The barrier's position on the side that served.
        barrier: Lsn,
        /// The progress that the other side holds.
        applied: Lsn,
    },
    /// Clients are moved to the other side from now on.
    ClientsMoved {
        /// The position there from which changes flow back; none where nothing follows.
        onwards: Option<Lsn>,
    },
    /// Everything of ours was removed after the switch.
    CleanedUp,
    /// Everything of ours was removed before the switch.
    GivenUp,
}

/// An event that the phase does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} is not possible while the migration is {phase:?}")]
pub struct IllegalEvent {
    /// Where the migration stands.
    pub phase: Phase,
    /// What was to happen.
    pub event: Event,
}

impl Phase {
    /// The phase after an event.
    pub fn after(self, event: &Event) -> Result<Phase, IllegalEvent> {
        use Event as E;
        use Phase as P;
        let following = matches!(self, P::Following | P::Verified);
        match (self, event) {
            (P::Planned | P::Checked, E::CheckPassed) => Ok(P::Checked),
            (P::Checked, E::SourcePrepared) => Ok(P::Prepared),
            (P::Prepared, E::StructureRestored) => Ok(P::Structured),
            (P::Structured | P::Copying, E::CopyBegan) => Ok(P::Copying),
            (P::Copying, E::CopyFinished) | (P::Prepared, E::Seeded { .. }) => Ok(P::Loaded),
            (P::Loaded | P::Following | P::RolledBack, E::CaughtUp)
            | (P::Verified | P::Fenced | P::Drained, E::FenceLifted) => Ok(P::Following),
            (P::Verified, E::CaughtUp) => Ok(P::Verified),
            (_, E::FoundEqual { .. }) if following => Ok(P::Verified),
            (_, E::FoundDifferent { .. }) if following => Ok(P::Following),
            (P::Verified, E::WritesFenced) => Ok(P::Fenced),
            (P::Fenced, E::BarrierApplied { barrier, applied }) if applied >= barrier => {
                Ok(P::Drained)
            }
            (P::Drained, E::ClientsMoved { .. })
            | (P::Switched | P::FencedBack | P::DrainedBack, E::FenceLifted) => Ok(P::Switched),
            (P::Switched, E::WritesFenced) => Ok(P::FencedBack),
            (P::FencedBack, E::BarrierApplied { barrier, applied }) if applied >= barrier => {
                Ok(P::DrainedBack)
            }
            (P::DrainedBack, E::ClientsMoved { .. }) => Ok(P::RolledBack),
            (P::Switched, E::CleanedUp) => Ok(P::Completed),
            (phase, E::GivenUp) if phase.may_be_given_up() => Ok(P::Aborted),
            (phase, event) => Err(IllegalEvent {
                phase,
                event: event.clone(),
            }),
        }
    }

    /// Whether `abort` is possible: anything before the switch, with the fence lifted.
    pub fn may_be_given_up(self) -> bool {
        !matches!(
            self,
            Phase::Fenced
                | Phase::Drained
                | Phase::Switched
                | Phase::FencedBack
                | Phase::DrainedBack
                | Phase::Completed
                | Phase::Aborted
        )
    }

    /// The direction in which changes flow.
    pub fn way(self) -> Way {
        match self {
            Phase::Switched | Phase::FencedBack | Phase::DrainedBack | Phase::Completed => {
                Way::Back
            }
            _ => Way::There,
        }
    }

    /// Whether clients are, or were at the end, on the target.
    pub fn is_switched(self) -> bool {
        self.way() == Way::Back
    }

    /// Whether nothing more can happen.
    pub fn is_final(self) -> bool {
        matches!(self, Phase::Completed | Phase::Aborted)
    }

    /// Whether the rows are copied and changes can flow.
    pub fn has_rows(self) -> bool {
        !matches!(
            self,
            Phase::Planned
                | Phase::Checked
                | Phase::Prepared
                | Phase::Structured
                | Phase::Copying
                | Phase::Aborted
        )
    }

    /// The name that reports print.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Planned => "planned",
            Phase::Checked => "checked",
            Phase::Prepared => "prepared",
            Phase::Structured => "structured",
            Phase::Copying => "copying",
            Phase::Loaded => "loaded",
            Phase::Following => "following",
            Phase::Verified => "verified",
            Phase::Fenced => "fenced",
            Phase::Drained => "drained",
            Phase::Switched => "switched",
            Phase::FencedBack => "fenced_back",
            Phase::DrainedBack => "drained_back",
            Phase::RolledBack => "rolled_back",
            Phase::Completed => "completed",
            Phase::Aborted => "aborted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Phase; 16] = [
        Phase::Planned,
        Phase::Checked,
        Phase::Prepared,
        Phase::Structured,
        Phase::Copying,
        Phase::Loaded,
        Phase::Following,
        Phase::Verified,
        Phase::Fenced,
        Phase::Drained,
        Phase::Switched,
        Phase::FencedBack,
        Phase::DrainedBack,
        Phase::RolledBack,
        Phase::Completed,
        Phase::Aborted,
    ];

    const MOVED: Event = Event::ClientsMoved { onwards: None };

    #[test]
    fn only_a_drained_migration_can_switch() {
        for phase in ALL {
            let drained = matches!(phase, Phase::Drained | Phase::DrainedBack);
            assert_eq!(phase.after(&MOVED).is_ok(), drained, "{phase:?}");
        }
    }

    #[test]
    fn a_barrier_that_was_not_reached_drains_nothing() {
        let short = Event::BarrierApplied {
            barrier: Lsn::new(10),
            applied: Lsn::new(9),
        };
        for phase in ALL {
            assert!(phase.after(&short).is_err(), "{phase:?}");
        }
    }

    #[test]
    fn nothing_leads_back_from_the_switch_but_a_rollback() {
        for event in [Event::GivenUp, Event::CaughtUp, MOVED] {
            assert!(Phase::Switched.after(&event).is_err(), "{event:?}");
        }
        let lifted = Phase::Switched.after(&Event::FenceLifted);
        assert_eq!(lifted, Ok(Phase::Switched), "a rollback that was given up");
    }

    #[test]
    fn a_rollback_ends_where_a_cutover_can_begin_again() {
        let reached = Event::BarrierApplied {
            barrier: Lsn::new(9),
            applied: Lsn::new(9),
        };
        let found = Event::FoundEqual { at: Lsn::new(9) };
        let events = [
            (Event::WritesFenced, Phase::FencedBack),
            (reached, Phase::DrainedBack),
            (MOVED, Phase::RolledBack),
            (Event::CaughtUp, Phase::Following),
            (found, Phase::Verified),
            (Event::WritesFenced, Phase::Fenced),
        ];
        let mut phase = Phase::Switched;
        for (event, next) in events {
            phase = phase.after(&event).expect("it is allowed");
            assert_eq!(phase, next);
        }
    }

    #[test]
    fn the_fence_needs_a_comparison_without_difference_or_a_switch() {
        for phase in ALL {
            let fenced = phase.after(&Event::WritesFenced);
            let may = matches!(phase, Phase::Verified | Phase::Switched);
            assert_eq!(fenced.is_ok(), may, "{phase:?}");
        }
    }

    #[test]
    fn a_fence_that_is_lifted_leads_to_the_side_that_serves() {
        for phase in [Phase::Verified, Phase::Fenced, Phase::Drained] {
            assert_eq!(phase.after(&Event::FenceLifted), Ok(Phase::Following));
        }
        for phase in [Phase::FencedBack, Phase::DrainedBack] {
            assert_eq!(phase.after(&Event::FenceLifted), Ok(Phase::Switched));
        }
    }
}
