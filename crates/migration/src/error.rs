//! Everything that ends a command, each with its exit code and the advice that goes with it.

use trunkline_apply::ApplyError;
use trunkline_capture::{CaptureError, StreamError};
use trunkline_changes::Side;
use trunkline_load::LoadError;
use trunkline_postgres::{Fault, SqlState};

use crate::checks::{Finding, Severity};
use crate::phase::{IllegalEvent, Phase};
use crate::report::CutoverReport;

/// Why a command ended otherwise than planned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan cannot be used as it is.
    #[error("{why}")]
    Plan {
        /// What is wrong with it.
        why: String,
        /// What to do.
        hint: String,
    },
    /// The preflight found blockers.
    #[error("the preflight found {} that must be mended first", blockers(.0))]
    Preflight(Vec<Finding>),
    /// A statement failed on one of the servers.
    #[error(transparent)]
    Server(#[from] Fault),
    /// Structure or rows could not be carried over.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The stream could not be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The changes could not be written.
    #[error("{}{cause}", on_the_way_back(*.to))]
    Apply {
        /// The side that they go to.
        to: Side,
        /// What happened.
        cause: ApplyError,
    },
    /// The two sides hold different rows.
    #[error("{} different on the two sides: {}", tables(.0.len()), .0.join(", "))]
    Differences(Vec<String>),
    /// The switch was given up, and clients are served as before.
    #[error("{} given up, and the {serves} serves as before: {why}", switch(*.serves, *.rehearsed))]
    CutoverAborted {
        /// The side that serves.
        serves: Side,
        /// Whether it was a rehearsal.
        rehearsed: bool,
        /// What was missed.
        why: String,
        /// How far it went.
        report: Box<CutoverReport>,
    },
    /// The switch was given up, and the side that serves could not be given back to its
    /// clients.
    #[error("the {side} is still fenced and could not be given back: {why}")]
    FenceStands {
        /// The side.
        side: Side,
        /// Why the fence could not be lifted.
        why: String,
    },
    /// The switch was given up and the fence is lifted, but what holds the clients could not
    /// be told.
    #[error("the {side} is open again, but its clients may still be held: {why}")]
    ClientsHeld {
        /// The side.
        side: Side,
        /// Why they could not be let go.
        why: String,
    },
    /// The point of no return is passed, and something after it failed.
    #[error("past the point of no return: {why}")]
    PastNoReturn {
        /// What failed.
        why: String,
        /// What to do by hand.
        hint: String,
    },
    /// Somebody else holds the migration.
    #[error("another run holds the migration `{name}`")]
    Held {
        /// The migration.
        name: String,
        /// What to do.
        hint: String,
    },
    /// There is no migration of this name.
    #[error("there is no migration `{name}` on the target")]
    NoSuchMigration {
        /// The name.
        name: String,
    },
    /// The migration's state does not allow the command.
    #[error("{why}")]
    Refused {
        /// Why.
        why: String,
        /// What to do.
        hint: String,
    },
    /// The old server, which nothing but the migration's end needs, does not answer.
    #[error("the old database cannot be cleaned up: {0}")]
    OldServerAway(Fault),
    /// The migration was ended by another command while this one waited.
    #[error("the migration was ended by another command")]
    Ended,
    /// The journal on the target cannot be trusted.
    #[error("the journal on the target cannot be used: {why}")]
    Journal {
        /// What is wrong.
        why: String,
    },
    /// The journal in the migration's folder cannot be trusted.
    #[error("the journal {path} cannot be used: {why}")]
    JournalFile {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A phase was asked to do what it cannot.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    /// A file of ours on this machine could not be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The operator interrupted the command; `run` goes on from here.
    #[error("interrupted while {}; `trunkline run` goes on from here", .0.name())]
    Interrupted(Phase),
    /// The operator interrupted a command that changes nothing.
    #[error("interrupted; nothing was changed")]
    Stopped,
    /// Our own fault.
    #[error("internal error: {0}")]
    Internal(String),
}

/// What is said of the target is said of the side that changes go to.
fn on_the_way_back(to: Side) -> &'static str {
    match to {
        Side::Target => "",
        Side::Source => "on the way back, where changes go from the target to the source: ",
    }
}

fn switch(serves: Side, rehearsed: bool) -> &'static str {
    match (serves, rehearsed) {
        (Side::Source, false) => "the cutover was",
        (Side::Target, false) => "the rollback was",
        (_, true) => "no-go: the rehearsal was",
    }
}

fn blockers(findings: &[Finding]) -> String {
    let count = findings
        .iter()
        .filter(|f| f.severity == Severity::Blocker)
        .count();
    if count == 1 {
        "1 thing".to_owned()
    } else {
        format!("{count} things")
    }
}

fn tables(count: usize) -> String {
    if count == 1 {
        "1 table is".to_owned()
    } else {
        format!("{count} tables are")
    }
}

impl Error {
    /// Something that cannot happen did.
    pub fn internal(what: &dyn std::fmt::Display) -> Self {
        Error::Internal(what.to_string())
    }

    /// There is no migration of this name.
    pub(crate) fn no_such_migration(name: &str) -> Self {
        Error::NoSuchMigration {
            name: name.to_owned(),
        }
    }

    /// The process's exit code, stable: PRODUCT's table in docs/reference.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Plan { .. }
            | Error::Load(
                LoadError::Pattern { .. }
                | LoadError::FilterSyntax { .. }
                | LoadError::FilterMatchesNothing { .. }
                | LoadError::Transform { .. }
                | LoadError::TableMapping { .. },
            ) => 2,
            Error::Preflight(_) => 3,
            Error::Server(_) | Error::Load(_) | Error::Capture(_) | Error::Apply { .. } => {
                match self.side() {
                    Some(Side::Source) => 4,
                    Some(Side::Target) => 5,
                    None => 1,
                }
            }
            Error::FenceStands { side, .. } | Error::ClientsHeld { side, .. } => match side {
                Side::Source => 4,
                Side::Target => 5,
            },
            Error::OldServerAway(_) => 4,
            Error::Journal { .. } => 5,
            Error::Differences(_) => 6,
            Error::CutoverAborted { .. } => 7,
            Error::PastNoReturn { .. } => 8,
            Error::Held { .. }
            | Error::NoSuchMigration { .. }
            | Error::Refused { .. }
            | Error::Ended
            | Error::Illegal(_) => 9,
            Error::Interrupted(_) | Error::Stopped => 130,
            Error::File { .. } | Error::JournalFile { .. } | Error::Internal(_) => 1,
        }
    }

    /// The server that the error is about, if it is about one.
    pub fn side(&self) -> Option<Side> {
        match self {
            Error::Server(fault) | Error::OldServerAway(fault) => Some(fault.side),
            Error::Load(error) => load_side(error),
            Error::Capture(error) => capture_side(error),
            Error::Apply { to, cause } => apply_side(*to, cause),
            _ => None,
        }
    }

    /// What to do about it, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Plan { hint, .. }
            | Error::PastNoReturn { hint, .. }
            | Error::Held { hint, .. }
            | Error::Refused { hint, .. } => Some(hint.clone()),
            Error::Server(fault)
            | Error::Load(LoadError::Server(fault))
            | Error::Apply {
                cause: ApplyError::Target(fault),
                ..
            }
            | Error::Capture(CaptureError::Server(fault)) => fault_hint(fault),
            Error::Capture(CaptureError::Refused(_)) => Some(
                "changes may be missing: `trunkline abort`, then start again with a new copy"
                    .to_owned(),
            ),
            Error::NoSuchMigration { .. } => {
                Some("start it with `trunkline run`, or name another with --name".to_owned())
            }
            Error::OldServerAway(_) => Some(
                "start it again; or, if it is gone for good, `trunkline complete --source-is-gone`"
                    .to_owned(),
            ),
            Error::Differences(_) => Some(
                "`trunkline verify --json` lists them; the cutover is refused while they differ"
                    .to_owned(),
            ),
            Error::CutoverAborted { .. } => {
                Some("mend the cause and run the same command again".to_owned())
            }
            Error::FenceStands { side, .. } => Some(format!(
                "once the {side} answers, `trunkline run` lifts the fence and follows again"
            )),
            Error::ClientsHeld { .. } => {
                Some("once what holds them answers, `trunkline run` lets them go on".to_owned())
            }
            Error::Journal { .. } => Some(
                "restore the table trunkline.journal from a backup of the target, or remove the \
                 schema trunkline and the slot by hand and start again"
                    .to_owned(),
            ),
            Error::JournalFile { .. } => Some(
                "restore the file from a backup; or remove it, and by hand what bears the \
                 migration's name on the servers, and start again"
                    .to_owned(),
            ),
            Error::Preflight(_) => {
                Some("`trunkline check` shows each with the statement that mends it".to_owned())
            }
            _ => None,
        }
    }

    /// Whether a statement was cancelled (57014).
    pub(crate) fn is_cancelled_statement(&self) -> bool {
        let (Error::Server(fault)
        | Error::Apply {
            cause: ApplyError::Target(fault),
            ..
        }) = self
        else {
            return false;
        };
        fault.cause.sqlstate() == Some(&SqlState::QUERY_CANCELED)
    }

    /// Whether doing it again may help: decided by the SQLSTATE or the socket alone.
    pub fn may_retry(&self) -> bool {
        match self {
            Error::Load(error) => error.may_retry(),
            Error::Capture(error) => error.may_reopen(),
            Error::Server(fault)
            | Error::Apply {
                cause: ApplyError::Target(fault),
                ..
            } => fault.cause.may_retry(),
            Error::Apply {
                cause: ApplyError::CommitUnknown { .. },
                ..
            } => true,
            _ => false,
        }
    }
}

fn load_side(error: &LoadError) -> Option<Side> {
    match error {
        LoadError::Server(fault) => Some(fault.side),
        LoadError::Program { program, .. } if program == "pg_dump" => Some(Side::Source),
        LoadError::EmptiedAgain { .. } => Some(Side::Source),
        LoadError::Entry { .. }
        | LoadError::MissingTable { .. }
        | LoadError::MissingColumn { .. }
        | LoadError::TargetNotEmpty { .. }
        | LoadError::TriggersWouldFire { .. }
        | LoadError::Ledger { .. } => Some(Side::Target),
        _ => None,
    }
}

fn capture_side(error: &CaptureError) -> Option<Side> {
    match error {
        CaptureError::Server(fault) => Some(fault.side),
        CaptureError::Refused(refused) => Some(refused.side),
        CaptureError::Overshot { side, .. } | CaptureError::Ended { side } => Some(*side),
        // A full or unusable folder is this machine's.
        CaptureError::Stream { side, cause } => match cause {
            StreamError::SpillFull { .. } | StreamError::Spill { .. } => None,
            _ => Some(*side),
        },
    }
}

fn apply_side(to: Side, error: &ApplyError) -> Option<Side> {
    match error {
        ApplyError::NoIdentity { .. } | ApplyError::Stream(_) => Some(to.other()),
        ApplyError::Spent => None,
        _ => Some(to),
    }
}

fn fault_hint(fault: &Fault) -> Option<String> {
    let state = fault.cause.sqlstate()?;
    let hint = match state.as_str() {
        "28P01" => "wrong password: set PGPASSWORD, or put it into ~/.pgpass",
        "28000" => {
            "the server does not let this role in: does it exist, and does pg_hba.conf name it?"
        }
        "3D000" => "there is no such database on that server",
        "42501" => "the role lacks a right: `trunkline sql role` prints what it needs",
        "53100" => "the disk is full: free space there, then `trunkline run` goes on",
        "53300" => "no connection slot is free on that server",
        "57P01" => {
            "an administrator ended the session, or the server was shut down: run this again"
        }
        "57014" => "somebody cancelled the statement on that server: run this again",
        "25006" => "the server is read-only: is it a standby?",
        _ => return None,
    };
    Some(hint.to_owned())
}
