//! The administration console of a pooler: it speaks PostgreSQL's protocol, but only simple
//! queries, and it is no server: no settings are pinned and no version is expected.
//! Holds always: dropping it closes the connection, and with it what it waits for.

use std::collections::HashMap;
use std::fmt;

use bytes::Buf;
use postgres_protocol::message::frontend;

use crate::channel::{Channel, Frame};
use crate::conninfo::Conninfo;
use crate::error::PgError;
use crate::field::DataRow;
use crate::handshake::{self, SessionKind};

/// One connection to a console.
pub struct Console {
    channel: Channel,
    /// A command was sent and its `ReadyForQuery` was not yet seen.
    busy: bool,
}

/// One row of a console's answer. Columns differ between versions, so they go by name.
pub type ConsoleRow = HashMap<String, Option<String>>;

impl Console {
    /// Connects and authenticates.
    pub async fn connect(conninfo: &Conninfo, purpose: &str) -> Result<Console, PgError> {
        let name = format!("trunkline {purpose}");
        let startup = [("application_name", name.as_str())];
        let opened = handshake::open(conninfo, SessionKind::Ordinary, &startup).await?;
        Ok(Console {
            channel: Channel::new(opened.transport, opened.read_buffer),
            busy: false,
        })
    }

    /// Runs one command and gives its rows, if it has any.
    pub async fn run(&mut self, command: &str) -> Result<Vec<ConsoleRow>, PgError> {
        if self.busy {
            return Err(PgError::Protocol(
                "the console was left in the middle of a command".to_owned(),
            ));
        }
        self.busy = true;
        frontend::query(command, &mut self.channel.output).map_err(PgError::Io)?;
        self.channel.flush().await?;
        let (mut columns, mut rows, mut refused) = (Vec::new(), Vec::new(), None);
        loop {
            match self.channel.next().await {
                Ok(Frame { tag: b'T', body }) => columns = column_names(&body)?,
                Ok(Frame { tag: b'D', body }) => {
                    rows.push(by_name(&columns, &DataRow::parse(body)?)?);
                }
                Ok(Frame { tag: b'Z', .. }) => break,
                Ok(_) => {}
                Err(error @ PgError::Server(_)) => {
                    refused.get_or_insert(error);
                }
                Err(error) => return Err(refused.unwrap_or(error)),
            }
        }
        self.busy = false;
        refused.map_or(Ok(rows), Err)
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

/// The names in a `RowDescription` (manual, "Message Formats"): each is followed by eighteen
/// bytes about its type.
fn column_names(body: &[u8]) -> Result<Vec<String>, PgError> {
    const ABOUT_TYPE_BYTES: usize = 18;
    let malformed = || PgError::Protocol("a malformed description of rows".to_owned());
    let mut rest = body;
    let count = rest.try_get_u16().map_err(|_| malformed())?;
    let mut names = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let end = rest.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(malformed)?;
        names.push(String::from_utf8_lossy(&rest[..end]).into_owned());
        rest = rest
            .get(end + 1 + ABOUT_TYPE_BYTES..)
            .ok_or_else(malformed)?;
    }
    Ok(names)
}

fn by_name(columns: &[String], row: &DataRow) -> Result<ConsoleRow, PgError> {
    columns
        .iter()
        .take(row.len())
        .enumerate()
        .map(|(at, name)| Ok((name.clone(), row.get::<Option<String>>(at)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::column_names;

    #[test]
    fn columns_are_named_and_what_is_cut_off_is_an_error() {
        let mut body = vec![0, 2];
        for name in ["name", "host"] {
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(&[0; 19]);
        }
        let names = column_names(&body).expect("it is whole");
        assert_eq!(names, ["name", "host"]);
        for cut in 0..body.len() {
            assert!(column_names(&body[..cut]).is_err(), "{cut}");
        }
    }
}
