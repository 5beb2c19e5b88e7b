//! COPY in and out, and the pump between two servers, which passes the source's `CopyData`
//! frames on as they are. Holds always: memory is bounded whatever the size of a row,
//! because the pump forwards a frame's bytes as they come and never waits for its end.

use bytes::{Buf, Bytes};
use postgres_protocol::message::frontend;
use trunkline_changes::Side;

use crate::channel::Frame;
use crate::error::PgError;
use crate::fault::{Fault, OnSide};
use crate::limits::WRITE_BYTES;
use crate::session::{Session, affected_rows};

/// A running `COPY … FROM STDIN`. Dropped without [`CopyIn::finish`] or [`CopyIn::abort`],
/// it leaves the session unusable, and the server undoes the COPY when it closes.
pub struct CopyIn<'a> {
    session: &'a mut Session,
}

/// Sends a COPY, or several.
async fn send(session: &mut Session, sql: &str) -> Result<(), PgError> {
    session.begin()?;
    frontend::query(sql, &mut session.channel.output).map_err(PgError::Io)?;
    session.channel.flush().await
}

/// Waits for the server's answer to a COPY, `G` (in) or `H` (out).
async fn answered(session: &mut Session, answer: u8) -> Result<(), PgError> {
    match session.channel.next().await {
        Ok(frame) if frame.tag == answer => Ok(()),
        Ok(frame) => Err(PgError::Protocol(format!(
            "COPY was answered with {:?}",
            char::from(frame.tag)
        ))),
        Err(error @ PgError::Server(_)) => session.settle(Some(error)).await,
        Err(error) => Err(error),
    }
}

async fn begin(session: &mut Session, sql: &str, answer: u8) -> Result<(), PgError> {
    send(session, sql).await?;
    answered(session, answer).await
}

/// Reads up to the end of one COPY; gives its rows, or `None` where all have ended.
async fn next_end(session: &mut Session) -> Result<Option<u64>, PgError> {
    loop {
        match session.channel.next().await {
            Ok(Frame { tag: b'C', body }) => return Ok(Some(affected_rows(&body))),
            Ok(Frame { tag: b'Z', .. }) => {
                session.busy = false;
                return Ok(None);
            }
            Ok(_) => {}
            Err(error @ PgError::Server(_)) => session.settle(Some(error)).await?,
            Err(error) => return Err(error),
        }
    }
}

/// Reads to the end of a COPY; gives its rows.
async fn end(session: &mut Session) -> Result<u64, PgError> {
    let mut rows = 0;
    while let Some(ended) = next_end(session).await? {
        rows = ended;
    }
    Ok(rows)
}

impl<'a> CopyIn<'a> {
    pub(crate) async fn start(session: &'a mut Session, sql: &str) -> Result<Self, PgError> {
        begin(session, sql, b'G').await?;
        Ok(CopyIn { session })
    }

    /// Sends data, in the format of the COPY; it need not end with a row.
    pub async fn send(&mut self, data: &[u8]) -> Result<(), PgError> {
        for piece in data.chunks(WRITE_BYTES) {
            let output = &mut self.session.channel.output;
            frontend::CopyData::new(piece)
                .map_err(PgError::Io)?
                .write(output);
            if output.len() >= WRITE_BYTES {
                self.session.channel.flush().await?;
                // An error that came meanwhile ends the COPY now rather than at its end.
                if let Err(error) = self.session.channel.next_ready() {
                    self.session.settle(Some(error)).await?;
                }
            }
        }
        Ok(())
    }

    /// Ends the COPY; gives the rows that were written.
    pub async fn finish(self) -> Result<u64, PgError> {
        frontend::copy_done(&mut self.session.channel.output);
        self.session.channel.flush().await?;
        end(self.session).await
    }

    /// Gives the COPY up; the server undoes it.
    pub async fn abort(self, reason: &str) -> Result<(), PgError> {
        let output = &mut self.session.channel.output;
        frontend::copy_fail(reason, output).map_err(PgError::Io)?;
        self.session.channel.flush().await?;
        match end(self.session).await {
            Ok(_) | Err(PgError::Server(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A running `COPY … TO STDOUT`. Dropped before its end, it leaves the session unusable.
pub struct CopyOut<'a> {
    session: &'a mut Session,
    ended: bool,
}

impl<'a> CopyOut<'a> {
    pub(crate) async fn start(session: &'a mut Session, sql: &str) -> Result<Self, PgError> {
        begin(session, sql, b'H').await?;
        Ok(CopyOut {
            session,
            ended: false,
        })
    }

    /// The next `CopyData` payload (a row, in text format), or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, PgError> {
        if self.ended {
            return Ok(None);
        }
        loop {
            match self.session.channel.next().await {
                Ok(Frame { tag: b'd', body }) => return Ok(Some(body)),
                Ok(Frame { tag: b'c', .. }) => {
                    end(self.session).await?;
                    self.ended = true;
                    return Ok(None);
                }
                Ok(_) => {}
                Err(error @ PgError::Server(_)) => self.session.settle(Some(error)).await?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// What a pump carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pumped {
    /// Rows, as the target counted them.
    pub rows: u64,
    /// Bytes of `CopyData` frames.
    pub bytes: u64,
}

/// Where in the source's stream of frames the pump stands.
#[derive(Default)]
struct Walk {
    /// Bytes of the current `CopyData` frame still to be passed on.
    in_frame: usize,
    bytes: u64,
    rows: u64,
    ended: bool,
}

/// Copies from one server to the other without parsing rows. `progress` is called with the
/// bytes and rows so far. On an error the session of the other side is left in the middle
/// of its COPY, hence unusable, and what the target got is undone with its transaction.
pub async fn pump(
    source: &mut Session,
    out_sql: &str,
    target: &mut Session,
    in_sql: &str,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Pumped, Fault> {
    let copies = [(out_sql, in_sql)];
    let pumped = pump_in_turn(source, target, &copies, progress).await?;
    Ok(pumped[0])
}

/// Does many copies, each given by its `COPY … TO STDOUT` and its `COPY … FROM STDIN`, in one
/// message to either server: neither is waited for between two of them. Gives what each
/// carried; on an error it is as for [`pump`]. `progress` begins anew with each.
pub async fn pump_in_turn(
    source: &mut Session,
    target: &mut Session,
    copies: &[(&str, &str)],
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Vec<Pumped>, Fault> {
    let doing = "copying rows";
    let (out, into): (Vec<&str>, Vec<&str>) = copies.iter().copied().unzip();
    send(source, &out.join("; "))
        .await
        .on(Side::Source, doing)?;
    send(target, &into.join("; "))
        .await
        .on(Side::Target, doing)?;
    // What the target refuses at once is known before the source reads for nothing.
    answered(target, b'G').await.on(Side::Target, doing)?;
    let (mut carried, mut ended) = (Vec::with_capacity(copies.len()), Vec::new());
    for _ in copies {
        answered(source, b'H').await.on(Side::Source, doing)?;
        carried.push(carry(source, target, &mut ended, progress).await?);
        // The source's COPY is complete only when it says so: an error may still follow.
        next_end(source).await.on(Side::Source, doing)?;
        frontend::copy_done(&mut target.channel.output);
        target.channel.flush().await.on(Side::Target, doing)?;
    }
    end(source).await.on(Side::Source, doing)?;
    while let Some(rows) = next_end(target).await.on(Side::Target, doing)? {
        ended.push(rows);
    }
    let carried = carried.into_iter().zip(ended);
    let pumped: Vec<_> = carried
        .map(|(bytes, rows)| Pumped { rows, bytes })
        .collect();
    if let Some(last) = pumped.last() {
        progress(last.bytes, last.rows);
    }
    Ok(pumped)
}

/// Passes the frames of one COPY on, to their end; gives their bytes. Copies before it may
/// end on the target meanwhile: their rows are added to `ended`.
async fn carry(
    source: &mut Session,
    target: &mut Session,
    ended: &mut Vec<u64>,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<u64, Fault> {
    let doing = "copying rows";
    let mut walk = Walk::default();
    while !walk.ended {
        if source.channel.input.is_empty() || !walk.pass(source, target).on(Side::Source, doing)? {
            source.channel.fill().await.on(Side::Source, doing)?;
        }
        if target.channel.output.len() >= WRITE_BYTES {
            target.channel.flush().await.on(Side::Target, doing)?;
            while let Some(frame) = target.channel.next_ready().on(Side::Target, doing)? {
                if frame.tag == b'C' {
                    ended.push(affected_rows(&frame.body));
                }
            }
            progress(walk.bytes, walk.rows);
        }
    }
    Ok(walk.bytes)
}

impl Walk {
    /// Passes on what is there; gives whether anything could be done with the input.
    fn pass(&mut self, source: &mut Session, target: &mut Session) -> Result<bool, PgError> {
        let mut moved = false;
        loop {
            let input = &mut source.channel.input;
            if self.in_frame > 0 {
                let piece = self.in_frame.min(input.len());
                if piece == 0 {
                    return Ok(moved);
                }
                target.channel.output.extend_from_slice(&input[..piece]);
                input.advance(piece);
                self.in_frame -= piece;
                moved = true;
                continue;
            }
            if target.channel.output.len() >= WRITE_BYTES {
                return Ok(true);
            }
            match source.channel.header()? {
                Some((b'd', length)) => {
                    self.in_frame = length;
                    self.bytes += length as u64;
                    self.rows += 1;
                }
                Some(_) => match source.channel.next_ready()? {
                    Some(Frame { tag: b'c', .. }) => {
                        self.ended = true;
                        return Ok(true);
                    }
                    Some(_) => moved = true,
                    None => return Ok(moved),
                },
                None => return Ok(moved),
            }
        }
    }
}
