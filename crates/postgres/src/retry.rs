//! Whether doing something again may help: decided here, by SQLSTATE and by the kind of the io
//! error, and nowhere else. What is not listed stops.

use std::io::ErrorKind;
use std::time::Duration;

use crate::error::PgError;
use crate::sqlstate::SqlState;

/// What may help after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing that we can do: stop and tell the operator.
    None,
    /// The transaction was rolled back: do it again on the same connection.
    RepeatTransaction,
    /// The connection is gone or was never made: connect again after a pause. Whether a COMMIT
    /// that was under way has happened is unknown and must be read back first.
    Reconnect,
}

/// The remedy for an error; unknown errors have none.
pub fn remedy(error: &PgError) -> Remedy {
    match error {
        PgError::Connect { cause, .. } | PgError::Io(cause) => by_io(cause.kind()),
        PgError::Closed
        | PgError::OutOfStep
        | PgError::TimedOut { .. }
        | PgError::SessionAttributes { .. } => Remedy::Reconnect,
        PgError::Server(error) => by_sqlstate(error.code),
        PgError::Config(_)
        | PgError::Tls(_)
        | PgError::Auth(_)
        | PgError::Protocol(_)
        | PgError::Conversion { .. } => Remedy::None,
    }
}

fn by_io(kind: ErrorKind) -> Remedy {
    match kind {
        // NotFound is a unix socket whose server is not up yet; an unknown host name comes as
        // AddrNotAvailable and stops.
        ErrorKind::NotFound
        | ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::NotConnected
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::TimedOut
        | ErrorKind::WouldBlock
        | ErrorKind::Interrupted
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown => Remedy::Reconnect,
        _ => Remedy::None,
    }
}

fn by_sqlstate(code: SqlState) -> Remedy {
    match code {
        SqlState::SERIALIZATION_FAILURE
        | SqlState::DEADLOCK_DETECTED
        | SqlState::LOCK_NOT_AVAILABLE
        | SqlState::OUT_OF_MEMORY
        // An administrator's pg_cancel_backend: what we cancel ourselves is not asked about here.
        | SqlState::QUERY_CANCELED
        // A slot or an origin that the server has not yet taken from a lost session.
        | SqlState::OBJECT_IN_USE => Remedy::RepeatTransaction,
        SqlState::CONNECTION_EXCEPTION
        | SqlState::CONNECTION_DOES_NOT_EXIST
        | SqlState::CONNECTION_FAILURE
        | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        | SqlState::IDLE_SESSION_TIMEOUT
        | SqlState::TOO_MANY_CONNECTIONS
        | SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW => Remedy::Reconnect,
        _ => Remedy::None,
    }
}

/// Pauses between tries: doubling from `first` to `cap`, each drawn from its upper half so that
/// many connections do not return at once. Ends after `attempts` pauses.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    cap: Duration,
    attempts_left: u32,
}

impl Backoff {
    /// `attempts` pauses from `first` to at most `cap`.
    pub fn new(first: Duration, cap: Duration, attempts: u32) -> Self {
        Self {
            next: first.min(cap),
            cap,
            attempts_left: attempts,
        }
    }

    /// For connecting again: 100 ms to 10 s, 20 times: about two and a half minutes, which
    /// covers a restart or a managed failover.
    pub fn for_connecting() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(10), 20)
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.attempts_left = self.attempts_left.checked_sub(1)?;
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.cap);
        Some(pause.mul_f64(0.5 + fastrand::f64() / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Remedy, remedy};
    use crate::error::{PgError, ServerError};
    use crate::sqlstate::SqlState;
    use std::io;
    use std::time::Duration;

    fn server(code: SqlState) -> PgError {
        PgError::Server(Box::new(ServerError {
            severity: "ERROR".into(),
            code,
            message: String::new(),
            detail: None,
            hint: None,
            position: None,
            where_: None,
            schema: None,
            table: None,
            column: None,
            constraint: None,
        }))
    }

    #[test]
    fn only_what_may_pass_by_itself_is_tried_again() {
        let cases = [
            (
                server(SqlState::DEADLOCK_DETECTED),
                Remedy::RepeatTransaction,
            ),
            (server(SqlState::QUERY_CANCELED), Remedy::RepeatTransaction),
            (server(SqlState::CANNOT_CONNECT_NOW), Remedy::Reconnect),
            (server(SqlState::TOO_MANY_CONNECTIONS), Remedy::Reconnect),
            (server(SqlState::INVALID_PASSWORD), Remedy::None),
            (server(SqlState::UNIQUE_VIOLATION), Remedy::None),
            (server(SqlState::DISK_FULL), Remedy::None),
            (server(SqlState::STATEMENT_COMPLETION_UNKNOWN), Remedy::None),
            (PgError::Closed, Remedy::Reconnect),
            (PgError::OutOfStep, Remedy::Reconnect),
            (PgError::Auth(String::new()), Remedy::None),
            (
                PgError::Io(io::ErrorKind::ConnectionReset.into()),
                Remedy::Reconnect,
            ),
            (
                PgError::Io(io::ErrorKind::PermissionDenied.into()),
                Remedy::None,
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(remedy(&error), expected, "{error}");
            assert_eq!(error.may_retry(), expected != Remedy::None);
        }
    }

    #[test]
    fn pauses_grow_to_the_cap_and_end() {
        let pauses: Vec<_> =
            Backoff::new(Duration::from_secs(1), Duration::from_secs(4), 5).collect();
        assert_eq!(pauses.len(), 5);
        for (pause, nominal) in pauses.iter().zip([1, 2, 4, 4, 4]) {
            let nominal = Duration::from_secs(nominal);
            assert!(*pause >= nominal / 2 && *pause <= nominal, "{pause:?}");
        }
    }
}
