//! What a running command tells whoever watches it. The migration prints nothing itself.

use std::time::Duration;

use trunkline_load::Progress;
use trunkline_verify::TableVerdict;

use crate::phase::Phase;
use crate::status::FollowStatus;
use crate::validation::TableValidation;

/// Something worth showing.
#[derive(Debug)]
pub enum Notice<'a> {
    /// The migration moved.
    Phase(Phase),
    /// A step inside a phase begins.
    Step(&'a str),
    /// How far the copy is. Sent a few times a second.
    Copy(&'a Progress),
    /// How far the target is behind. Sent about every second.
    Follow(&'a FollowStatus),
    /// A table was compared.
    Compared {
        /// How it came out.
        verdict: &'a TableVerdict,
        /// Tables compared so far.
        done: usize,
        /// Tables to compare.
        of: usize,
    },
    /// How far validation under writes is. Sent about every second.
    Validated {
        /// Rows compared.
        rows: u64,
        /// Tables compared.
        tables: u64,
        /// Tables to compare.
        of: u64,
    },
    /// Rows of these tables differ.
    Differs(&'a [TableValidation]),
    /// A connection was lost, or a server is not ready: it is tried again.
    Retry {
        /// What happened.
        why: &'a str,
        /// When it is tried again.
        wait: Duration,
    },
    /// Something that the operator should know.
    Warning(&'a str),
}

/// Who watches.
pub trait Observer: Send + Sync {
    /// Called from the running command; must return at once.
    fn notice(&self, notice: Notice<'_>);
}
