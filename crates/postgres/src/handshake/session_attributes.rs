//! `target_session_attrs`: whether this is the kind of server that is looked for.

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use fallible_iterator::FallibleIterator;

use super::Opened;
use super::startup::Exchange;
use crate::conninfo::TargetSession;
use crate::error::PgError;

/// Asks the server, unless any will do.
pub(super) async fn check(opened: &mut Opened, wanted: TargetSession) -> Result<(), PgError> {
    const READ_ONLY: &str = "SHOW transaction_read_only";
    const IN_RECOVERY: &str = "SELECT pg_catalog.pg_is_in_recovery()";
    let (query, accepted, name) = match wanted {
        TargetSession::Any | TargetSession::PreferStandby => return Ok(()),
        TargetSession::ReadWrite => (
            READ_ONLY,
            "off",
            "a server that accepts writes (read-write)",
        ),
        TargetSession::ReadOnly => (READ_ONLY, "on", "a server that refuses writes (read-only)"),
        TargetSession::Primary => (IN_RECOVERY, "f", "a primary"),
        TargetSession::Standby => (IN_RECOVERY, "t", "a standby"),
    };
    if ask(opened, query).await? == accepted {
        return Ok(());
    }
    Err(PgError::SessionAttributes {
        host: opened.peer.label.clone(),
        wanted: name,
    })
}

/// The first column of the last row.
async fn ask(opened: &mut Opened, query: &str) -> Result<String, PgError> {
    let mut request = BytesMut::new();
    frontend::query(query, &mut request)?;
    let mut exchange = Exchange {
        transport: &mut opened.transport,
        buffer: &mut opened.read_buffer,
    };
    exchange.send(&request).await?;
    let mut answer = String::new();
    loop {
        match exchange.receive().await? {
            Message::DataRow(body) => {
                let first = body.ranges().next()?.flatten();
                let bytes = first.and_then(|range| body.buffer().get(range));
                answer = String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
            }
            Message::ReadyForQuery(_) => return Ok(answer),
            _ => {}
        }
    }
}
