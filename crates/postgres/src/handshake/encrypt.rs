//! Which encryptions to try, and asking the server for one (manual, "SSL Session Encryption").

use std::io;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Encryption;
use super::socket::{Address, Socket};
use crate::conninfo::{Host, Place, SslMode, SslNegotiation, TlsSettings};
use crate::error::PgError;
use crate::tls;
use crate::transport::Transport;

/// The encryptions to try, in order. Like libpq, unix sockets are never encrypted.
pub(super) fn choices(settings: &TlsSettings, address: &Address) -> &'static [Encryption] {
    match (address, settings.mode) {
        (Address::Unix(_), _) | (Address::Tcp(_), SslMode::Disable) => &[Encryption::Plain],
        (Address::Tcp(_), SslMode::Allow) => &[Encryption::Plain, Encryption::Tls],
        (Address::Tcp(_), SslMode::Prefer) => &[Encryption::Tls, Encryption::Plain],
        (Address::Tcp(_), SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => {
            &[Encryption::Tls]
        }
    }
}

/// What to say when both encryptions failed: what TLS said, and if that was TLS's own failure,
/// what came of going without.
pub(super) fn both_failed(first: Encryption, earlier: PgError, later: PgError) -> PgError {
    let (tls, plain) = match first {
        Encryption::Tls => (earlier, later),
        Encryption::Plain => (later, earlier),
    };
    match tls {
        PgError::Tls(text) => PgError::Tls(format!("{text}; without TLS: {plain}")),
        tls => tls,
    }
}

/// Makes the transport, asking for TLS where it is to be tried.
pub(super) async fn encrypt(
    socket: Socket,
    host: &Host,
    encryption: Encryption,
    settings: &TlsSettings,
) -> Result<Transport, PgError> {
    let stream = match (socket, encryption) {
        (Socket::Unix(stream), _) => return Ok(Transport::Unix(stream)),
        (Socket::Tcp(stream), Encryption::Plain) => return Ok(Transport::Tcp(stream)),
        (Socket::Tcp(stream), Encryption::Tls) => stream,
    };
    let mut stream = stream;
    if settings.negotiation == SslNegotiation::Postgres {
        match ask(&mut stream, host).await? {
            Encryption::Tls => {}
            // The same connection goes on in plain, as it would have been the next try.
            Encryption::Plain if settings.mode <= SslMode::Prefer => {
                return Ok(Transport::Tcp(stream));
            }
            Encryption::Plain => {
                return Err(PgError::Tls(format!("{host} does not offer TLS")));
            }
        }
    }
    let name = match &host.place {
        Place::Name { name, .. } => name.as_str(),
        Place::Directory(_) => "localhost",
    };
    let stream = tls::connect(stream, name, settings).await?;
    Ok(Transport::Tls(Box::new(stream)))
}

/// Sends `SSLRequest`. Exactly one byte is read: what a man in the middle might have added
/// becomes a malformed TLS record, not a reply.
async fn ask(stream: &mut TcpStream, host: &Host) -> Result<Encryption, PgError> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    match stream.read_u8().await? {
        b'S' => Ok(Encryption::Tls),
        b'N' => Ok(Encryption::Plain),
        // The text is not shown: nothing vouches for it.
        b'E' => Err(PgError::Connect {
            host: host.to_string(),
            cause: io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the server answered the request for TLS with an error",
            ),
        }),
        _ => Err(PgError::Protocol(format!(
            "{host} does not answer like a PostgreSQL server"
        ))),
    }
}
