//! The first transaction that a slot would deliver after a position, found by peeking: the
//! slot stays where it is.

use crate::busy_slot::BusySlot;
use crate::error::CaptureError;
use crate::limits::{PEEK_CHANGES, SLOT_BUSY_DEADLINE};
use crate::mode::Mode;
use crate::reader::{Decoder, Feed};
use trunkline_changes::{Lsn, quote_literal};
use trunkline_postgres::{PgError, ServerVersion, Session};

/// A transaction in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstTransaction {
    /// Its id.
    pub xid: u32,
    /// Where its commit record ends: the first position at which its changes are in a copy.
    pub end_lsn: Lsn,
}

/// The first transaction with changes that ends after `after`, or `None` when the slot holds none yet. A
/// copy that is consistent at `after` has everything before it, and nothing of it.
pub async fn first_after(
    feed: &Feed,
    after: Lsn,
) -> Result<Option<FirstTransaction>, CaptureError> {
    let fault = |cause| feed.fault("looking for the first change", cause);
    let mut session = Session::connect(&feed.conninfo, "look")
        .await
        .map_err(fault)?;
    let mut changes = PEEK_CHANGES;
    let mut busy = BusySlot::new(SLOT_BUSY_DEADLINE);
    loop {
        let sql = sql(feed, after, changes, session.version());
        let row = match session.query_one(&sql, &[]).await {
            Ok(row) => row,
            Err(cause) => match busy.pause(&cause) {
                Some(pause) => {
                    tokio::time::sleep(pause).await;
                    continue;
                }
                None => return Err(fault(cause).into()),
            },
        };
        let read = || -> Result<(i64, Option<Lsn>, Option<u32>), PgError> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        };
        let (seen, end_lsn, xid) = read().map_err(fault)?;
        let found = end_lsn.zip(xid);
        // Fewer than asked for, and the peek saw the whole log.
        if found.is_some() || seen < i64::from(changes) {
            session.close().await;
            return Ok(found.map(|(end_lsn, xid)| FirstTransaction { xid, end_lsn }));
        }
        // Each peek begins at the slot: four times as many at a time, the last one counts.
        changes = changes.saturating_mul(4).min(i32::MAX.unsigned_abs());
    }
}

/// The position of a commit's message is the record's end. A transaction that changed nothing
/// has its two boundaries only, and whether it comes at all depends on version and decoder.
fn sql(feed: &Feed, after: Lsn, changes: u32, version: ServerVersion) -> String {
    let (function, is_commit) = match feed.decoder {
        Decoder::Pgoutput { .. } => (
            "pg_logical_slot_peek_binary_changes",
            "pg_catalog.get_byte(data, 0) = 67",
        ),
        Decoder::TestDecoding { .. } => ("pg_logical_slot_peek_changes", "data LIKE 'COMMIT %'"),
    };
    let options: Vec<String> = feed
        .decoder
        .options(Mode::Batch, version)
        .into_iter()
        .map(|(name, value)| format!(", {}, {}", quote_literal(name), quote_literal(&value)))
        .collect();
    // 12 has no maximum of positions, and numbers of transactions have no order.
    format!(
        "WITH peeked AS MATERIALIZED ( \
              SELECT lsn, xid::pg_catalog.text AS number, {is_commit} AND lsn > '{after}'::pg_catalog.pg_lsn AS later \
                FROM pg_catalog.{function}({slot}, NULL, {changes}{options})), \
              first AS (SELECT (pg_catalog.array_agg(lsn ORDER BY lsn DESC))[1] AS lsn, number::pg_catalog.xid AS xid FROM peeked GROUP BY number \
                      HAVING pg_catalog.bool_or(later) AND pg_catalog.count(*) > 2 \
                       ORDER BY 1 LIMIT 1) \
         SELECT (SELECT pg_catalog.count(*) FROM peeked), \
                (SELECT lsn FROM first), (SELECT xid FROM first)",
        slot = quote_literal(&feed.slot),
        options = options.concat(),
    )
}
