//! A peek by SQL: its statement, and the task that runs it into the queue.

use super::copy_tuples::{Columns, CopyTuples};
use super::queue::{Abandoned, Bundler, Feeder};
use super::reading::{Read, Weight};
use super::{Decoder, Feed};
use crate::busy_slot::BusySlot;
use crate::error::StreamError;
use crate::limits::SLOT_BUSY_DEADLINE;
use crate::mode::Mode;
use std::fmt::Write as _;
use trunkline_changes::{Lsn, quote_literal};
use trunkline_postgres::{PgError, ServerVersion, Session};

/// `COPY` takes no parameters: everything is quoted here. A copy of the slot is moved along.
pub(super) fn peek_sql(
    feed: &Feed,
    copy: Option<&str>,
    upto: Option<Lsn>,
    max_changes: u32,
    version: ServerVersion,
) -> String {
    let (columns, what) = match feed.decoder {
        Decoder::Pgoutput { .. } => ("data", "binary_changes"),
        Decoder::TestDecoding { .. } => ("lsn, data", "changes"),
    };
    let verb = if copy.is_some() { "get" } else { "peek" };
    let function = format!("pg_logical_slot_{verb}_{what}");
    let slot = quote_literal(copy.unwrap_or(&feed.slot));
    let mut sql = format!("COPY (SELECT {columns} FROM pg_catalog.{function}({slot}, ");
    // Writing to a String cannot fail.
    let _ = match upto {
        Some(upto) => write!(sql, "'{upto}'::pg_catalog.pg_lsn"),
        None => write!(sql, "NULL"),
    };
    let _ = write!(sql, ", {max_changes}");
    for (name, value) in feed.decoder.options(Mode::Batch, version) {
        let (name, value) = (quote_literal(name), quote_literal(&value));
        let _ = write!(sql, ", {name}, {value}");
    }
    sql.push_str(")) TO STDOUT (FORMAT binary)");
    sql
}

/// Runs a peek into the queue, and gives the session back, with what came.
/// Failures of the server go through the queue, behind what came before them.
pub(super) async fn read_peek(
    mut session: Session,
    sql: String,
    columns: Columns,
    feeder: Feeder,
) -> Result<Read, StreamError> {
    let mut busy = BusySlot::new(SLOT_BUSY_DEADLINE);
    let mut tuples = CopyTuples::new(columns);
    let mut weight = Weight::default();
    let is_whole = loop {
        match copy_into(&mut session, &sql, &feeder, &mut tuples, &mut weight).await {
            Ok(()) => break true,
            Err(Stopped::Abandoned) => break false,
            Err(Stopped::Malformed(error)) => return Err(error),
            Err(Stopped::Server(error)) => {
                let Some(pause) = busy.pause(&error) else {
                    feeder.fail(error).await;
                    break false;
                };
                tokio::time::sleep(pause).await;
            }
        }
    };
    Ok(Read {
        session,
        weight,
        is_whole,
    })
}

enum Stopped {
    Server(PgError),
    Malformed(StreamError),
    Abandoned,
}

async fn copy_into(
    session: &mut Session,
    sql: &str,
    feeder: &Feeder,
    tuples: &mut CopyTuples,
    weight: &mut Weight,
) -> Result<(), Stopped> {
    let mut bundler = Bundler::default();
    let mut copy = session.copy_out(sql).await.map_err(Stopped::Server)?;
    while let Some(frame) = copy.next().await.map_err(Stopped::Server)? {
        tuples
            .push(frame, |position, message| {
                weight.add(&message);
                bundler.push(position, message);
            })
            .map_err(Stopped::Malformed)?;
        if bundler.bundle().is_full() {
            hand_over(feeder, &mut bundler).await?;
        }
    }
    tuples.finish().map_err(Stopped::Malformed)?;
    hand_over(feeder, &mut bundler).await
}

async fn hand_over(feeder: &Feeder, bundler: &mut Bundler) -> Result<(), Stopped> {
    if bundler.bundle().is_empty() {
        return Ok(());
    }
    let handed = feeder.clone().hand_over(bundler.take()).await;
    handed.map_err(|Abandoned| Stopped::Abandoned)
}
