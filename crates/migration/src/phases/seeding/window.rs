//! The stream around a position, read and never consumed: nothing is confirmed to the slot.

use std::path::Path;

use trunkline_capture::{CaptureError, Feed, LiveOptions, LiveReader, Pulled, StreamError};
use trunkline_changes::{Lsn, StreamEvent};
use trunkline_postgres::{OnSide, Session};

use super::touched::{Part, Touched};
use crate::error::Error;
use crate::limits::{PROBE_BACK_FIRST_BYTES, PROBE_WAIT};
use crate::run::Run;

/// What the stream did before and after a position.
pub(super) struct Window {
    pub(super) before: Touched,
    pub(super) after: Touched,
    /// Transactions that were read.
    pub(super) transactions: u64,
    /// The position, or the end of the commit record that it lies inside of: a server's log
    /// names where its last record begins, and the stream goes on from where one ends.
    pub(super) position: Lsn,
}

/// Reads the changes around `position`: far enough back that some were before it, or from
/// the slot's beginning; and on until enough came after it, or the log's end as it is now.
pub(super) async fn read(
    run: &Run<'_>,
    feed: &Feed,
    begin: Lsn,
    position: Lsn,
    spill: &Path,
) -> Result<Window, Error> {
    let mut source = run.connect(feed.side, "log").await?;
    let end = log_end(&mut source, feed).await?;
    source.close().await;
    let mut back = PROBE_BACK_FIRST_BYTES;
    loop {
        let from = Lsn::new(position.get().saturating_sub(back)).max(begin);
        let read = read_from(run, feed, from, position, end, spill).await;
        let window = match read {
            // So far back any place will do, but the middle of a commit.
            Err(Error::Capture(CaptureError::Stream {
                cause: StreamError::PositionInsideCommit { end_lsn, .. },
                ..
            })) if end_lsn < position => {
                read_from(run, feed, end_lsn, position, end, spill).await?
            }
            read => read?,
        };
        if !window.before.is_empty() || from == begin {
            return Ok(window);
        }
        back = back.saturating_mul(16);
    }
}

async fn log_end(source: &mut Session, feed: &Feed) -> Result<Lsn, Error> {
    let doing = "reading the log's position";
    // A commit behind everything that there is: once it comes, nothing before it is missing.
    let sql = "SELECT pg_catalog.pg_logical_emit_message(true, 'trunkline', 'seed')";
    let row = source.query_one(sql, &[]).await.on(feed.side, doing)?;
    Ok(row.get(0).on(feed.side, doing)?)
}

async fn read_from(
    run: &Run<'_>,
    feed: &Feed,
    from: Lsn,
    position: Lsn,
    end: Lsn,
    spill: &Path,
) -> Result<Window, Error> {
    let mut reader = LiveReader::start(feed.clone(), LiveOptions::after(from, spill)).await?;
    let mut window = Window {
        before: Touched::new(Part::Before),
        after: Touched::new(Part::After),
        transactions: 0,
        position,
    };
    let mut xid_and_start = (0, Lsn::ZERO);
    'reading: loop {
        let pulled = tokio::select! {
            pulled = reader.pull(PROBE_WAIT) => pulled?,
            () = run.cancel.cancelled() => {
                return Err(Error::Interrupted(run.control.state().phase));
            }
        };
        run.alive();
        match pulled {
            Pulled::Events(events) => {
                for event in events {
                    match event {
                        StreamEvent::Begin(begun) => xid_and_start = (begun.xid, begun.commit_lsn),
                        StreamEvent::Change(change) => {
                            let (xid, start) = xid_and_start;
                            if start < position {
                                window.before.take(change, xid);
                            } else {
                                window.after.take(change, xid);
                            }
                        }
                        StreamEvent::Commit {
                            end_lsn,
                            transaction,
                        } => {
                            window.transactions += 1;
                            if transaction.commit_lsn < position && position < end_lsn {
                                window.position = end_lsn;
                            }
                            if window.after.is_full() || end_lsn >= end {
                                break 'reading;
                            }
                        }
                    }
                }
            }
            Pulled::Idle { received } => {
                // A server before 14 streams no message.
                if received.is_some_and(|received| received.lsn() >= end) {
                    break;
                }
            }
            Pulled::EndOfBatch { .. } => {}
        }
    }
    reader.stop().await?;
    Ok(window)
}
