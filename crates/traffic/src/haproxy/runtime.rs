//! HAProxy's runtime socket: one command a connection, the answer ends with it.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::failure::Failure;
use crate::limits::ANSWER_MAX_BYTES;

/// Where HAProxy takes commands (`stats socket … level admin`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeSocket {
    /// A unix socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

impl RuntimeSocket {
    /// A path that begins with `/`, else `host:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("unix:").unwrap_or(text);
        if text.starts_with('/') {
            return Some(RuntimeSocket::Unix(text.into()));
        }
        let (host, port) = text.rsplit_once(':')?;
        let is_port = port.parse::<u16>().is_ok();
        (is_port && !host.is_empty() && !host.contains('/'))
            .then(|| RuntimeSocket::Tcp(text.to_owned()))
    }

    pub(super) async fn ask(&self, command: &str) -> Result<String, Failure> {
        let answered = match self {
            RuntimeSocket::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => exchange(stream, command).await,
                Err(error) => Err(error),
            },
            RuntimeSocket::Tcp(address) => match TcpStream::connect(address).await {
                Ok(stream) => exchange(stream, command).await,
                Err(error) => Err(error),
            },
        };
        answered.map_err(|cause| Failure::Peer {
            peer: self.to_string(),
            cause,
        })
    }
}

impl fmt::Display for RuntimeSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuntimeSocket::Unix(path) => write!(f, "HAProxy at {}", path.display()),
            RuntimeSocket::Tcp(address) => write!(f, "HAProxy at {address}"),
        }
    }
}

async fn exchange<S>(mut stream: S, command: &str) -> io::Result<String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_MAX_BYTES)
        .read_to_end(&mut answer)
        .await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Where a server's connections go, from `show servers state`; columns go by their names.
pub(super) fn address_in_state(answer: &str, server: &str) -> Option<(String, u16)> {
    let header = answer.lines().find_map(|line| line.strip_prefix("# "))?;
    let names: Vec<&str> = header.split_whitespace().collect();
    let rows = answer.lines().filter(|line| !line.starts_with('#'));
    for row in rows {
        let fields = names.iter().copied().zip(row.split_whitespace());
        let fields: HashMap<&str, &str> = fields.collect();
        if fields.get("srv_name") == Some(&server) {
            let port = fields.get("srv_port")?.parse().ok()?;
            return Some(((*fields.get("srv_addr")?).to_owned(), port));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_by_the_names_of_its_columns() {
        let answer = "1\n# be_name srv_addr srv_port srv_name\npg 10.0.0.1 5432 a\n\
                      pg 10.0.0.2 5433 db\n\n";
        let found = address_in_state(answer, "db");
        assert_eq!(found, Some(("10.0.0.2".to_owned(), 5433)));
        assert_eq!(address_in_state(answer, "none"), None);
        assert_eq!(address_in_state("Can't find backend.\n", "db"), None);
    }

    #[test]
    fn a_socket_is_a_path_or_a_host_with_its_port() {
        let unix = RuntimeSocket::Unix("/run/h.sock".into());
        assert_eq!(RuntimeSocket::parse("/run/h.sock"), Some(unix));
        let tcp = RuntimeSocket::Tcp("lb:9999".to_owned());
        assert_eq!(RuntimeSocket::parse("lb:9999"), Some(tcp));
        assert_eq!(RuntimeSocket::parse("lb"), None);
        assert_eq!(RuntimeSocket::parse("https://lb:9999"), None);
    }
}
