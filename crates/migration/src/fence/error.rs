//! Why a side could not be fenced, or may not be.

use trunkline_changes::Side;
use trunkline_postgres::Fault;

/// A session that stands in the fence's way.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Intruder {
    /// Process id.
    pub(crate) process_id: i32,
    /// Role.
    pub(crate) user: String,
    /// `application_name`, or the kind of process.
    pub(crate) name: String,
}

/// Why a side could not be fenced, or may not be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FenceError {
    /// A statement failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Sessions that could write would not leave.
    #[error("{} on the {} would not end: {}", count(.1.len()), .0, list(.1))]
    SessionsStay(Side, Vec<Intruder>),
    /// Prepared transactions could still commit.
    #[error("prepared transactions are open on the {}: {}", .0, .1.join(", "))]
    Prepared(Side, Vec<String>),
    /// The catalog says that others may connect.
    #[error("the {0}'s database does not keep others out, though it was told to")]
    Open(Side),
    /// A new connection of our own was let in.
    #[error("a new connection to the {0}'s closed database was let in")]
    LetIn(Side),
    /// A new connection of our own failed, but not as a closed door would make it fail.
    #[error("whether the {0}'s database is closed cannot be told from a new connection: {1}")]
    DoorUnclear(Side, String),
    /// The proof of one side was shown for the other.
    #[error("internal: the fence of the {0} was shown for the other side")]
    OtherSide(Side),
    /// The role lacks a right.
    #[error("the {side} cannot be fenced: {why}")]
    NotAllowed {
        /// The side.
        side: Side,
        /// The right that is missing.
        why: String,
        /// The statement that gives it.
        remedy: String,
    },
    /// A standing fence would have holes.
    #[error("the {} could not be kept closed while it does not serve: {}", .0, .1.join("; "))]
    WouldNotStand(Side, Vec<String>),
}

fn count(sessions: usize) -> String {
    match sessions {
        1 => "1 session".to_owned(),
        many => format!("{many} sessions"),
    }
}

pub(super) fn list(intruders: &[Intruder]) -> String {
    let each = |i: &Intruder| format!("{} of {} ({})", i.process_id, i.user, i.name);
    intruders.iter().map(each).collect::<Vec<_>>().join(", ")
}
