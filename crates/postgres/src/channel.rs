//! One connection's bytes in both directions: messages are queued, written and cut out of
//! what was read. Holds always: while a write waits, what the server sends is read, so two
//! full socket buffers never wait for each other.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::message::backend::Message;
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::error::PgError;
use crate::limits::{MESSAGE_MAX_BYTES, READ_BYTES, READ_LEAST_BYTES};
use crate::transport::Transport;
use crate::wire;

/// A backend message that is not an error: its tag and body (manual, "Message Formats").
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) tag: u8,
    pub(crate) body: Bytes,
}

/// The buffered connection.
pub(crate) struct Channel {
    transport: Transport,
    /// Read and not yet looked at.
    pub(crate) input: BytesMut,
    /// Queued and not yet written.
    pub(crate) output: BytesMut,
}

impl Channel {
    pub(crate) fn new(transport: Transport, input: BytesMut) -> Self {
        Channel {
            transport,
            input,
            output: BytesMut::with_capacity(READ_BYTES),
        }
    }

    /// Writes everything that is queued.
    pub(crate) async fn flush(&mut self) -> Result<(), PgError> {
        if self.output.is_empty() {
            return Ok(());
        }
        let written = poll_fn(|cx| self.poll_write_out(cx)).await;
        match written {
            Ok(()) => Ok(()),
            Err(error) => Err(self.last_words().await.unwrap_or(error)),
        }
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PgError>> {
        while !self.output.is_empty() {
            match Pin::new(&mut self.transport).poll_write(cx, &self.output) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(PgError::Closed)),
                Poll::Ready(Ok(written)) => self.output.advance(written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => match self.poll_fill(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
        Pin::new(&mut self.transport)
            .poll_flush(cx)
            .map_err(PgError::from)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PgError>> {
        self.make_room();
        let mut read = pin!(self.transport.read_buf(&mut self.input));
        read.as_mut().poll(cx).map(|read| match read {
            Ok(0) => Err(PgError::Closed),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        })
    }

    /// Room for a read. Messages that somebody keeps are slices of the buffer: it cannot be
    /// used again then, and is filled up before another is taken. A server sends 8 kB at a
    /// time, so rows that are kept would hold thirty times their size otherwise.
    fn make_room(&mut self) {
        let spare = self.input.capacity() - self.input.len();
        if spare < READ_BYTES && !self.input.try_reclaim(READ_BYTES) && spare < READ_LEAST_BYTES {
            self.input.reserve(READ_BYTES);
        }
    }

    /// Reads once, at least one byte.
    pub(crate) async fn fill(&mut self) -> Result<(), PgError> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// What a server that is going down said before it closed, if it said anything.
    async fn last_words(&mut self) -> Option<PgError> {
        loop {
            while let Ok(Some(frame)) = self.cut() {
                if let Err(error) = frame {
                    return Some(error);
                }
            }
            self.fill().await.ok()?;
        }
    }

    /// The tag and whole length (tag and length included) of the message that the input
    /// begins with, when its header is here.
    pub(crate) fn header(&self) -> Result<Option<(u8, usize)>, PgError> {
        let Some(header) = self.input.first_chunk::<5>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        if !(4..=MESSAGE_MAX_BYTES).contains(&length) {
            return Err(PgError::Protocol(format!("a message of {length} bytes")));
        }
        Ok(Some((header[0], length + 1)))
    }

    /// Cuts one whole message from the input; the inner error is the server's own.
    fn cut(&mut self) -> Result<Option<Result<Frame, PgError>>, PgError> {
        let Some((tag, length)) = self.header()? else {
            return Ok(None);
        };
        if self.input.len() < length {
            // A big message is read into one allocation of its size.
            self.input.reserve(length - self.input.len());
            return Ok(None);
        }
        if tag == b'E' {
            let message = Message::parse(&mut self.input)
                .map_err(|error| PgError::Protocol(error.to_string()))?;
            if let Some(Message::ErrorResponse(body)) = message {
                return Ok(Some(Err(wire::refused(body.fields()))));
            }
            return Err(PgError::Protocol("a malformed error".to_owned()));
        }
        let mut message = self.input.split_to(length);
        message.advance(5);
        Ok(Some(Ok(Frame {
            tag,
            body: message.freeze(),
        })))
    }

    /// The next message; notices, parameter changes and notifications are passed over.
    /// The server's own error is `Err`. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Frame, PgError> {
        loop {
            match self.cut()? {
                Some(Ok(Frame {
                    tag: b'N' | b'S' | b'A',
                    ..
                })) => {}
                Some(frame) => return frame,
                None => self.fill().await?,
            }
        }
    }

    /// The next message if it is here without waiting.
    pub(crate) fn next_ready(&mut self) -> Result<Option<Frame>, PgError> {
        loop {
            match self.cut()? {
                Some(Ok(Frame {
                    tag: b'N' | b'S' | b'A',
                    ..
                })) => {}
                Some(frame) => return frame.map(Some),
                None => return Ok(None),
            }
        }
    }
}
