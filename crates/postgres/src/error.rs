//! What can go wrong when talking to one server. No variant ever carries a password: values of
//! secret keywords and authentication messages do not reach this module.

use std::fmt;
use std::io;

use crate::conninfo::ConninfoError;
use crate::retry;
use crate::sqlstate::SqlState;

/// An error of one connection. The caller adds which side (source or target) it was.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// The connection settings cannot be used as they are.
    #[error(transparent)]
    Config(#[from] ConninfoError),
    /// No connection was made: refused, name not resolved, timed out.
    #[error("cannot connect to {host}: {cause}")]
    Connect {
        /// `host:port` or the path of the socket.
        host: String,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// TLS was refused, or the certificate is not acceptable.
    #[error("TLS: {0}")]
    Tls(String),
    /// Authentication failed on our side (the server's refusal is [`PgError::Server`]).
    #[error("authentication: {0}")]
    Auth(String),
    /// The server answered, but is not of the kind that `target_session_attrs` asks for.
    #[error("{host} is not usable: target_session_attrs asks for {wanted}")]
    SessionAttributes {
        /// `host:port` or the path of the socket.
        host: String,
        /// The value of `target_session_attrs`.
        wanted: &'static str,
    },
    /// The server sent an `ErrorResponse` (manual, "Error and Notice Message Fields").
    #[error(transparent)]
    Server(Box<ServerError>),
    /// Reading from or writing to an established connection failed.
    #[error("connection lost: {0}")]
    Io(#[source] io::Error),
    /// The server closed the connection without a word.
    #[error("the server closed the connection")]
    Closed,
    /// An earlier command on this session failed or was given up half-way: the connection is
    /// gone, or what it sends next belongs to that command.
    #[error("the session was left in the middle of a command")]
    OutOfStep,
    /// The server said something that the protocol does not allow here.
    #[error("protocol: {0}")]
    Protocol(String),
    /// We stopped waiting.
    #[error("timed out: {doing}")]
    TimedOut {
        /// What was being waited for.
        doing: String,
    },
    /// A value that the server sent is not what the caller expected.
    #[error("cannot read {what}: {why}")]
    Conversion {
        /// The column or parameter; never its value.
        what: String,
        /// What was expected.
        why: String,
    },
}

impl PgError {
    /// The SQLSTATE, when the server reported the error.
    pub fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            Self::Server(error) => Some(&error.code),
            _ => None,
        }
    }

    /// Whether doing it again may help; see [`retry::remedy`].
    pub fn may_retry(&self) -> bool {
        retry::remedy(self) != retry::Remedy::None
    }
}

impl From<io::Error> for PgError {
    fn from(cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io(cause),
        }
    }
}

/// An `ErrorResponse` or `NoticeResponse` (manual, "Error and Notice Message Fields").
/// `Display` leaves `detail` out, because it may hold values of a row.
#[derive(Debug, Clone)]
pub struct ServerError {
    /// `ERROR`, `FATAL`, `PANIC`, `WARNING`, …, never translated.
    pub severity: String,
    /// The SQLSTATE.
    pub code: SqlState,
    /// The primary message.
    pub message: String,
    /// The secondary message; may hold values of a row.
    pub detail: Option<String>,
    /// The server's advice.
    pub hint: Option<String>,
    /// Where in the query, in characters from 1.
    pub position: Option<String>,
    /// The context: the call stack, or the line of a COPY.
    pub where_: Option<String>,
    /// The schema of the object concerned.
    pub schema: Option<String>,
    /// The table concerned.
    pub table: Option<String>,
    /// The column concerned.
    pub column: Option<String>,
    /// The constraint concerned.
    pub constraint: Option<String>,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.severity, self.code, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for ServerError {}
