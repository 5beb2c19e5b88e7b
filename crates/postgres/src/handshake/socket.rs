//! Names to addresses, addresses to connected sockets.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream, lookup_host};

use crate::conninfo::{Host, Place, Settings, user_name_of};
use crate::error::PgError;

/// Where exactly a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A connected socket.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The addresses of a host, in the resolver's order.
pub(super) async fn addresses(host: &Host) -> Result<Vec<Address>, PgError> {
    let (name, given) = match &host.place {
        Place::Directory(_) => {
            return Ok(host.socket_path().map(Address::Unix).into_iter().collect());
        }
        Place::Name { name, address } => (name, address),
    };
    if let Some(address) = given {
        return Ok(vec![Address::Tcp(SocketAddr::new(*address, host.port))]);
    }
    let connect_error = |cause| PgError::Connect {
        host: host.to_string(),
        cause,
    };
    let found: Vec<Address> = lookup_host((name.as_str(), host.port))
        .await
        .map_err(|cause| connect_error(classified(&cause)))?
        .map(Address::Tcp)
        .collect();
    if found.is_empty() {
        let cause = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
        return Err(connect_error(cause));
    }
    Ok(found)
}

/// The resolver's errors come without a kind: a name that does not exist stops, a resolver that
/// does not answer may do so later (getaddrinfo's `EAI_AGAIN`).
fn classified(cause: &io::Error) -> io::Error {
    let text = cause.to_string();
    let kind = if text.contains("emporary") || text.contains("ry again") {
        io::ErrorKind::TimedOut
    } else {
        io::ErrorKind::AddrNotAvailable
    };
    io::Error::new(kind, text)
}

/// Connects, with the settings' keepalives.
pub(super) async fn connect(
    address: &Address,
    label: &str,
    settings: &Settings,
) -> Result<Socket, PgError> {
    let connect_error = |cause| PgError::Connect {
        host: label.to_owned(),
        cause,
    };
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await.map_err(connect_error)?;
            configure(&stream, settings).map_err(connect_error)?;
            Ok(Socket::Tcp(stream))
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(connect_error)?;
            if let Some(wanted) = &settings.require_peer {
                check_peer(&stream, wanted)?;
            }
            Ok(Socket::Unix(stream))
        }
    }
}

fn configure(stream: &TcpStream, settings: &Settings) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if let Some(keepalives) = settings.keepalives {
        let probes = TcpKeepalive::new()
            .with_time(keepalives.idle)
            .with_interval(keepalives.interval)
            .with_retries(keepalives.count);
        socket.set_tcp_keepalive(&probes)?;
    }
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(settings.tcp_user_timeout)?;
    Ok(())
}

/// `requirepeer`: the operating system's user that the server runs as.
fn check_peer(stream: &UnixStream, wanted: &str) -> Result<(), PgError> {
    let found = stream
        .peer_cred()
        .ok()
        .and_then(|peer| user_name_of(peer.uid()));
    match found {
        Some(name) if name == wanted => Ok(()),
        Some(name) => Err(PgError::Auth(format!(
            "requirepeer asks for a server run by {wanted}, but it is run by {name}"
        ))),
        None => Err(PgError::Auth(format!(
            "requirepeer asks for a server run by {wanted}, but who runs it cannot be found out"
        ))),
    }
}
