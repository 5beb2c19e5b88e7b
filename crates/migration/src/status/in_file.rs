//! Where a migration stands whose target cannot be written yet: the file says it alone.

use super::{StatusReport, over};
use crate::control::file;
use crate::journal::State;
use crate::phase::Phase;
use crate::phases::seeding;
use crate::plan::{Plan, Seed, Snapshot};

/// Before the target can be written, the journal in the migration's folder says where it is.
pub(super) fn report(plan: &Plan, peeked: file::Peeked) -> StatusReport {
    StatusReport {
        migration: peeked.identity.name,
        held: peeked.held,
        next_steps: if awaits_a_copy(plan, &peeked.state) {
            seeding::what_is_awaited()
        } else {
            peeked.state.next_steps(peeked.held)
        },
        ..over(plan, peeked.state.phase)
    }
}

/// Whether somebody has to copy the source's storage, and to say its position.
fn awaits_a_copy(plan: &Plan, state: &State) -> bool {
    let unsaid = Seed::Snapshot(Snapshot::Operator(None));
    state.phase == Phase::Prepared && plan.seed == unsaid
}
