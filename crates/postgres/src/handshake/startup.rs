//! From a connected socket to `ReadyForQuery` (manual, "Start-up").

use std::collections::HashMap;

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;

use super::authenticate::{self, Credentials};
use super::{Encryption, Opened, Peer, Request, SessionKind, encrypt, socket};
use crate::conninfo::{Demand, Host};
use crate::error::PgError;
use crate::tls;
use crate::transport::Transport;
use crate::wire;

/// Before the session begins no message is longer; libpq stops at 30,000 bytes.
const MESSAGE_MAX_BYTES: usize = 64 * 1024;

/// How far a try has come, for deciding whether another encryption may help.
#[derive(Default)]
pub(super) struct Progress {
    /// The socket was connected.
    pub(super) connected: bool,
    /// The server has accepted this way of connecting: it asked who we are, or let us in.
    pub(super) accepted: bool,
}

impl Progress {
    /// As libpq: no, once the server has asked for authentication; no, where nothing listens.
    pub(super) fn another_encryption_may_help(&self, error: &PgError) -> bool {
        let refused = matches!(
            error,
            PgError::Tls(_) | PgError::Server(_) | PgError::Closed | PgError::Io(_)
        );
        self.connected && !self.accepted && refused
    }
}

/// A transport with what was read from it.
pub(super) struct Exchange<'a> {
    pub(super) transport: &'a mut Transport,
    pub(super) buffer: &'a mut BytesMut,
}

impl Exchange<'_> {
    pub(super) async fn send(&mut self, message: &[u8]) -> Result<(), PgError> {
        self.transport.write_all(message).await?;
        self.transport.flush().await?;
        Ok(())
    }

    /// The next message; an `ErrorResponse` is an error, a notice is logged and passed over.
    pub(super) async fn receive(&mut self) -> Result<Message, PgError> {
        loop {
            let message =
                wire::read_message(self.transport, self.buffer, MESSAGE_MAX_BYTES).await?;
            match message {
                Message::ErrorResponse(body) => return Err(wire::refused(body.fields())),
                Message::NoticeResponse(body) => {
                    let notice = wire::server_error(body.fields());
                    tracing::debug!(code = %notice.code, message = %notice.message, "notice");
                }
                message => return Ok(message),
            }
        }
    }
}

/// Connects, encrypts, authenticates and waits for the session.
pub(super) async fn start(
    request: Request<'_>,
    host: &Host,
    mut peer: Peer,
    progress: &mut Progress,
) -> Result<Opened, PgError> {
    let settings = request.conninfo.settings();
    let socket = socket::connect(&peer.address, &peer.label, settings).await?;
    progress.connected = true;
    let mut transport = encrypt::encrypt(socket, host, peer.encryption, &settings.tls).await?;
    peer.encryption = match &transport {
        Transport::Tls(_) => Encryption::Tls,
        Transport::Tcp(_) | Transport::Unix(_) => Encryption::Plain,
    };
    let end_point = match &transport {
        Transport::Tls(stream) if settings.channel_binding != Demand::Disable => {
            tls::server_end_point(stream)
        }
        _ => None,
    };
    let mut read_buffer = BytesMut::new();
    let mut exchange = Exchange {
        transport: &mut transport,
        buffer: &mut read_buffer,
    };
    exchange.send(&startup_message(request)?).await?;
    let credentials = Credentials {
        user: request.conninfo.user(),
        password: request.conninfo.password_for(peer.host),
        label: &peer.label,
        end_point,
        channel_binding: settings.channel_binding,
        require_auth: &settings.require_auth,
    };
    authenticate::authenticate(&mut exchange, &credentials, progress).await?;
    let session = session(&mut exchange).await?;
    Ok(Opened {
        transport,
        read_buffer,
        process_id: session.process_id,
        secret_key: session.secret_key,
        parameters: session.parameters,
        peer,
    })
}

fn startup_message(request: Request<'_>) -> Result<BytesMut, PgError> {
    let conninfo = request.conninfo;
    let mut parameters = vec![("user", conninfo.user()), ("database", conninfo.database())];
    if request.kind == SessionKind::LogicalReplication {
        parameters.push(("replication", "database"));
    }
    parameters.extend_from_slice(request.startup);
    let name = conninfo
        .value("application_name")
        .or_else(|| conninfo.value("fallback_application_name"));
    // Only UTF-8 names and messages are read, so "auto" means that.
    let encoding = conninfo
        .value("client_encoding")
        .filter(|encoding| *encoding != "auto");
    let defaults = [
        ("application_name", name),
        ("client_encoding", encoding.or(Some("UTF8"))),
        ("options", conninfo.value("options")),
    ];
    for (parameter, value) in defaults {
        let given = parameters.iter().any(|(given, _)| *given == parameter);
        if let Some(value) = value.filter(|_| !given) {
            parameters.push((parameter, value));
        }
    }
    let mut message = BytesMut::new();
    frontend::startup_message(parameters, &mut message)
        .map_err(|error| PgError::Protocol(format!("start-up parameters: {error}")))?;
    Ok(message)
}

/// What the server tells of a new session.
#[derive(Default)]
struct Session {
    process_id: i32,
    secret_key: i32,
    parameters: HashMap<String, String>,
}

/// Reads what comes between `AuthenticationOk` and `ReadyForQuery`.
async fn session(exchange: &mut Exchange<'_>) -> Result<Session, PgError> {
    let mut session = Session::default();
    loop {
        match exchange.receive().await? {
            Message::BackendKeyData(body) => {
                session.process_id = body.process_id();
                session.secret_key = body.secret_key();
            }
            Message::ParameterStatus(body) => {
                let (name, value) = (body.name()?.to_owned(), body.value()?.to_owned());
                session.parameters.insert(name, value);
            }
            Message::ReadyForQuery(_) => return Ok(session),
            _ => {
                return Err(PgError::Protocol(
                    "an unexpected message before the session is ready".to_owned(),
                ));
            }
        }
    }
}
