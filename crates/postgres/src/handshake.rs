//! Opening a connection: which server, which encryption, who we are, until `ReadyForQuery`
//! (manual, "Start-up" in "Message Flow", and "Specifying Multiple Hosts").
//!
//! The order of tries is libpq's: every host, every address of it, and for each the encryptions
//! that `sslmode` allows. A server that refuses us ends the search; one that cannot be reached, is
//! starting up, or is not of the kind that `target_session_attrs` asks for, does not.

mod authenticate;
mod cancel;
mod encrypt;
mod session_attributes;
mod socket;
mod startup;

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use bytes::BytesMut;

pub(crate) use cancel::send_cancel;
pub(crate) use socket::Address;

use crate::conninfo::{Conninfo, Host, TargetSession};
use crate::error::PgError;
use crate::sqlstate::SqlState;
use crate::transport::Transport;

/// A connection that is ready for its first query.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) transport: Transport,
    /// What was read beyond `ReadyForQuery`.
    pub(crate) read_buffer: BytesMut,
    /// From `BackendKeyData`; 0 where a pooler sends none.
    pub(crate) process_id: i32,
    pub(crate) secret_key: i32,
    /// The `ParameterStatus` messages so far.
    pub(crate) parameters: HashMap<String, String>,
    pub(crate) peer: Peer,
}

/// The server that a connection reached, for reaching it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) address: Address,
    /// Its place in the list of hosts.
    pub(crate) host: usize,
    /// `host:port`, for messages.
    pub(crate) label: String,
    pub(crate) encryption: Encryption,
}

/// Whether a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    Plain,
    Tls,
}

/// What the connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionKind {
    /// SQL.
    Ordinary,
    /// SQL and replication commands (`replication=database`).
    LogicalReplication,
}

/// What every try of one opening shares.
#[derive(Clone, Copy)]
struct Request<'a> {
    conninfo: &'a Conninfo,
    kind: SessionKind,
    startup: &'a [(&'a str, &'a str)],
}

/// Opens and authenticates. `startup` are run-time parameters, which go before those of the
/// settings.
pub(crate) async fn open(
    conninfo: &Conninfo,
    kind: SessionKind,
    startup: &[(&str, &str)],
) -> Result<Opened, PgError> {
    let request = Request {
        conninfo,
        kind,
        startup,
    };
    match conninfo.settings().target_session {
        TargetSession::PreferStandby => match open_wanted(request, TargetSession::Standby).await {
            Err(error) if leads_to_next_host(&error) => {
                open_wanted(request, TargetSession::Any).await
            }
            decided => decided,
        },
        wanted => open_wanted(request, wanted).await,
    }
}

async fn open_wanted(request: Request<'_>, wanted: TargetSession) -> Result<Opened, PgError> {
    let timeout = request.conninfo.settings().connect_timeout;
    let mut failures = Vec::new();
    for (number, host) in request.conninfo.hosts().iter().enumerate() {
        let addresses = match within(timeout, host, socket::addresses(host)).await {
            Ok(addresses) => addresses,
            Err(error) => {
                failures.push(error);
                continue;
            }
        };
        for address in addresses {
            let attempt = open_address(request, number, host, &address, wanted);
            match within(timeout, host, attempt).await {
                Ok(opened) => return Ok(opened),
                Err(error) if leads_to_next_host(&error) => {
                    tracing::debug!(host = %host, %error, "trying the next server, if there is one");
                    failures.push(error);
                }
                Err(error) => return Err(error),
            }
        }
    }
    Err(summary(failures))
}

/// Whether libpq's search goes on: the server was not reached, or is not the one looked for.
fn leads_to_next_host(error: &PgError) -> bool {
    match error {
        PgError::Connect { .. }
        | PgError::SessionAttributes { .. }
        | PgError::Io(_)
        | PgError::Closed
        | PgError::TimedOut { .. } => true,
        PgError::Server(error) => error.code == SqlState::CANNOT_CONNECT_NOW,
        _ => false,
    }
}

/// One error for all: that of a server that answered, else what each address said.
fn summary(mut failures: Vec<PgError>) -> PgError {
    let answered = failures
        .iter()
        .rposition(|error| !matches!(error, PgError::Connect { .. }));
    if let Some(at) = answered {
        return failures.swap_remove(at);
    }
    let (mut hosts, mut causes) = (Vec::new(), Vec::new());
    let mut kind = io::ErrorKind::InvalidInput;
    for failure in failures {
        let PgError::Connect { host, cause } = failure else {
            continue;
        };
        kind = cause.kind();
        causes.push(cause.to_string());
        hosts.push(host);
    }
    causes.dedup();
    hosts.dedup();
    PgError::Connect {
        host: hosts.join(", "),
        cause: io::Error::new(kind, causes.join("; ")),
    }
}

async fn within<T>(
    timeout: Option<Duration>,
    host: &Host,
    work: impl Future<Output = Result<T, PgError>>,
) -> Result<T, PgError> {
    let Some(limit) = timeout else {
        return work.await;
    };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let text = format!("no answer within connect_timeout ({} s)", limit.as_secs());
        Err(PgError::Connect {
            host: host.to_string(),
            cause: io::Error::new(io::ErrorKind::TimedOut, text),
        })
    })
}

/// Tries the encryptions that the settings allow, then checks the kind of server.
async fn open_address(
    request: Request<'_>,
    number: usize,
    host: &Host,
    address: &Address,
    wanted: TargetSession,
) -> Result<Opened, PgError> {
    let choices = encrypt::choices(&request.conninfo.settings().tls, address);
    let mut failed = None;
    for encryption in choices {
        let peer = Peer {
            address: address.clone(),
            host: number,
            label: host.to_string(),
            encryption: *encryption,
        };
        let mut progress = startup::Progress::default();
        match startup::start(request, host, peer, &mut progress).await {
            Ok(mut opened) => {
                session_attributes::check(&mut opened, wanted).await?;
                return Ok(opened);
            }
            Err(error) if progress.another_encryption_may_help(&error) => {
                failed = Some(match failed {
                    None => (*encryption, error),
                    Some((first, earlier)) => (first, encrypt::both_failed(first, earlier, error)),
                });
            }
            Err(error) => return Err(error),
        }
    }
    Err(failed.map_or(PgError::Closed, |(_, error)| error))
}
