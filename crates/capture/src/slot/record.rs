//! What is remembered of a slot when it is made, and the reasons to refuse the one that is
//! found later.

use serde::{Deserialize, Serialize};
use trunkline_changes::{Lsn, Side};

/// An output plugin that can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plugin {
    /// The server's own. It needs a publication, which only the owner of the tables can make.
    #[default]
    Pgoutput,
    /// Comes with the server's contributed modules, and needs no publication.
    TestDecoding,
}

impl Plugin {
    /// As the server knows it.
    pub fn name(self) -> &'static str {
        match self {
            Plugin::Pgoutput => "pgoutput",
            Plugin::TestDecoding => "test_decoding",
        }
    }
}

/// The identity of a slot, for the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRecord {
    /// Its name.
    pub name: String,
    /// Its output plugin.
    pub plugin: String,
    /// The database that it decodes.
    pub database: String,
    /// The server's system identifier, made by initdb and kept by physical copies.
    pub system_id: String,
    /// The server's timeline when the slot was made.
    pub timeline: i32,
    /// Where the slot began.
    pub consistent_point: Lsn,
}

/// A slot that must not be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{side}: replication slot {slot} cannot be used: {problem}")]
pub struct SlotRefused {
    /// The server.
    pub side: Side,
    /// The slot.
    pub slot: String,
    /// Why.
    pub problem: SlotProblem,
}

/// Why a slot must not be used. In every case changes may be missing between what is durable
/// on the other side and what the slot would deliver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotProblem {
    /// There is no slot of that name.
    #[error("it does not exist any more")]
    Gone,
    /// It is not a logical slot.
    #[error("it is not a logical slot")]
    NotLogical,
    /// It goes with its session.
    #[error("it is a temporary slot of another session")]
    Temporary,
    /// Another plugin's.
    #[error("its plugin is {found}, not {recorded}")]
    OtherPlugin {
        /// What was recorded.
        recorded: String,
        /// What it has.
        found: String,
    },
    /// Another database's.
    #[error("it belongs to database {found}, not {recorded}")]
    OtherDatabase {
        /// What was recorded.
        recorded: String,
        /// What it has.
        found: String,
    },
    /// Another server under the same address.
    #[error("the server is another one: its system identifier is {found}, not {recorded}")]
    OtherSystem {
        /// What was recorded.
        recorded: String,
        /// What the server says.
        found: String,
    },
    /// The server was promoted or restored.
    #[error(
        "the server changed its timeline from {recorded} to {found}: it was promoted or restored"
    )]
    OtherTimeline {
        /// What was recorded.
        recorded: i32,
        /// What the server says.
        found: i32,
    },
    /// The server gave it up.
    #[error("the server has invalidated it ({reason})")]
    Invalidated {
        /// In the server's words.
        reason: String,
    },
    /// It stands behind the position where ours began.
    #[error(
        "it stands at {confirmed}, before {consistent_point} where it was made: it was made anew"
    )]
    MadeAnew {
        /// Where it stands.
        confirmed: Lsn,
        /// Where ours began.
        consistent_point: Lsn,
    },
    /// It will not deliver what we still need.
    #[error(
        "it stands at {confirmed}, beyond {durable}, up to which changes are applied: it was advanced, or made anew"
    )]
    BeyondDurable {
        /// Where it stands.
        confirmed: Lsn,
        /// What is durable on the other side.
        durable: Lsn,
    },
}
