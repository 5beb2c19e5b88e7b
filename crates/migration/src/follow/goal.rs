//! What following is to reach, and where in the stream that is.

use trunkline_changes::{Lsn, StreamEvent};

/// What following is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// A lag below this many bytes.
    Near(u64),
    /// A commit at or after this position, applied and durable: everything before it is on
    /// the target.
    Commit(Lsn),
    /// Every transaction whose commit begins before this position, and none after it. The
    /// source must commit something later, or it is never known.
    Before(Lsn),
    /// Nothing: until somebody else wants the migration.
    Forever,
    /// Nothing: until [`Follow::told`] is cancelled.
    Told,
    /// The same, or until somebody else wants the migration.
    Validated,
}

impl Goal {
    /// How many of these events belong to it, where they reach it: those behind are the next
    /// goal's.
    pub(super) fn within(self, events: &[StreamEvent]) -> Option<usize> {
        events
            .iter()
            .zip(0..)
            .find_map(|(event, place)| match (event, self) {
                (StreamEvent::Commit { transaction, .. }, Goal::Commit(barrier)) => {
                    (transaction.commit_lsn >= barrier).then_some(place + 1)
                }
                (StreamEvent::Begin(next), Goal::Before(point)) => {
                    (next.commit_lsn >= point).then_some(place)
                }
                _ => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_changes::Transaction;

    fn empty_transaction(commit: u64) -> [StreamEvent; 2] {
        let transaction = Transaction {
            xid: 7,
            commit_lsn: Lsn::new(commit),
            committed_at_micros: 0,
        };
        let end_lsn = Lsn::new(commit + 8);
        [
            StreamEvent::Begin(transaction),
            StreamEvent::Commit {
                transaction,
                end_lsn,
            },
        ]
    }

    #[test]
    fn what_comes_behind_a_goal_is_left() {
        let events: Vec<StreamEvent> = [100, 200, 300].map(empty_transaction).concat();
        let at = |goal: Goal| goal.within(&events);
        assert_eq!(at(Goal::Commit(Lsn::new(200))), Some(4));
        assert_eq!(at(Goal::Commit(Lsn::new(150))), Some(4));
        assert_eq!(at(Goal::Commit(Lsn::new(300))), Some(6));
        assert_eq!(at(Goal::Commit(Lsn::new(301))), None);
        assert_eq!(at(Goal::Before(Lsn::new(200))), Some(2));
        assert_eq!(at(Goal::Before(Lsn::new(50))), Some(0));
        assert_eq!(at(Goal::Before(Lsn::new(301))), None);
        for goal in [Goal::Near(0), Goal::Forever, Goal::Told, Goal::Validated] {
            assert_eq!(at(goal), None);
        }
    }
}
