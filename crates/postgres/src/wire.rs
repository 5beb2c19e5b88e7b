//! Backend messages before a session is ready (manual, "Message Formats"), and server errors at any
//! time. A message is never split: what was read beyond it stays in the caller's buffer.

use std::io;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{ErrorFields, Header, Message};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::{PgError, ServerError};
use crate::sqlstate::SqlState;

/// One read asks for this much at least.
const READ_BYTES: usize = 16 * 1024;

/// Reads one message, an `ErrorResponse` like any other, of at most `max_bytes`, so that a server that is not yet trusted cannot
/// make us allocate.
pub(crate) async fn read_message<S>(
    stream: &mut S,
    buffer: &mut BytesMut,
    max_bytes: usize,
) -> Result<Message, PgError>
where
    S: AsyncRead + Unpin,
{
    loop {
        if let Some(header) = Header::parse(buffer).map_err(|cause| malformed(&cause))? {
            // `Header::parse` has checked that the length is at least 4.
            let len = usize::try_from(header.len()).unwrap_or(usize::MAX);
            if len > max_bytes {
                return Err(PgError::Protocol(format!(
                    "a message of {len} bytes where at most {max_bytes} are expected"
                )));
            }
            if let Some(message) = Message::parse(buffer).map_err(|cause| malformed(&cause))? {
                return Ok(message);
            }
        }
        fill(stream, buffer).await?;
    }
}

/// Reads at least one byte more; the end of the stream is [`PgError::Closed`].
async fn fill<S>(stream: &mut S, buffer: &mut BytesMut) -> Result<(), PgError>
where
    S: AsyncRead + Unpin,
{
    buffer.reserve(READ_BYTES);
    match stream.read_buf(buffer).await? {
        0 => Err(PgError::Closed),
        _ => Ok(()),
    }
}

fn malformed(cause: &io::Error) -> PgError {
    PgError::Protocol(cause.to_string())
}

/// The fields of an `ErrorResponse` or `NoticeResponse` (manual, "Error and Notice Message
/// Fields"). A field that is missing or malformed is left out rather than hiding the error.
pub(crate) fn server_error(mut fields: ErrorFields<'_>) -> ServerError {
    let mut error = ServerError {
        severity: String::new(),
        code: SqlState::INTERNAL_ERROR,
        message: String::new(),
        detail: None,
        hint: None,
        position: None,
        where_: None,
        schema: None,
        table: None,
        column: None,
        constraint: None,
    };
    while let Ok(Some(field)) = fields.next() {
        let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'V' => error.severity = text,
            // 'S' may be translated; 'V' (from 9.6 on) never is, and may come after it.
            b'S' if error.severity.is_empty() => error.severity = text,
            b'C' => error.code = SqlState::from_code(&text).unwrap_or(SqlState::INTERNAL_ERROR),
            b'M' => error.message = text,
            b'D' => error.detail = Some(text),
            b'H' => error.hint = Some(text),
            b'P' => error.position = Some(text),
            b'W' => error.where_ = Some(text),
            b's' => error.schema = Some(text),
            b't' => error.table = Some(text),
            b'c' => error.column = Some(text),
            b'n' => error.constraint = Some(text),
            _ => {}
        }
    }
    error
}

/// An `ErrorResponse` as a [`PgError`].
pub(crate) fn refused(fields: ErrorFields<'_>) -> PgError {
    PgError::Server(Box::new(server_error(fields)))
}
