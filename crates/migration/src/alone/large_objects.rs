//! The large objects of both sides, by number and contents. Each server reads its own and
//! gives a checksum, so a plain role that may read them is enough.

use std::collections::{HashMap, VecDeque};

use trunkline_changes::Side;
use trunkline_postgres::{DataRow, Fault, OnSide, PgError, Session};
use trunkline_verify::DifferenceKind;

use super::report::{LargeObjectDifference, LargeObjectsReport, NotCompared, Uncompared};
use crate::error::Error;
use crate::limits::{LARGE_OBJECT_PIECE_BYTES, LARGE_OBJECTS_AT_ONCE, LARGE_OBJECTS_NAMED};

const DOING: &str = "comparing the large objects";

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct LargeObjects {
    pub(crate) report: LargeObjectsReport,
    /// What our role may not read.
    pub(crate) errors: Vec<NotCompared>,
}

/// Size and checksum; `None` where our role may not read it.
type Sum = Option<(i64, String)>;

/// One side's large objects in the order of their numbers, a page at a time.
struct Listing<'a> {
    session: &'a mut Session,
    side: Side,
    page: VecDeque<(u32, Sum)>,
    after: u32,
    ended: bool,
    seen: u64,
    unread: u64,
}

impl<'a> Listing<'a> {
    fn new(session: &'a mut Session, side: Side) -> Self {
        Listing {
            session,
            side,
            page: VecDeque::new(),
            after: 0,
            ended: false,
            seen: 0,
            unread: 0,
        }
    }

    /// The next one's number.
    async fn peek(&mut self) -> Result<Option<u32>, Fault> {
        if self.page.is_empty() && !self.ended {
            self.page = self.next_page().await.on(self.side, DOING)?;
            match self.page.back() {
                Some((last, _)) => self.after = *last,
                None => self.ended = true,
            }
        }
        Ok(self.page.front().map(|(oid, _)| *oid))
    }

    fn take(&mut self) -> Sum {
        self.seen += 1;
        self.page.pop_front().and_then(|(_, sum)| sum)
    }

    async fn next_page(&mut self) -> Result<VecDeque<(u32, Sum)>, PgError> {
        let list = include_str!("../sql/alone_large_objects.sql");
        let page = self
            .session
            .query(list, &[&self.after, &LARGE_OBJECTS_AT_ONCE])
            .await?;
        let entry = |row: &DataRow| Ok((row.get(0)?, row.get(1)?));
        let page: Vec<(u32, bool)> = page.iter().map(entry).collect::<Result<_, PgError>>()?;
        let readable = page.iter().filter(|(_, readable)| *readable);
        let readable: Vec<String> = readable.map(|(oid, _)| oid.to_string()).collect();
        let mut sums = self.sums(&readable).await?;
        let with_sum = |(oid, _)| (oid, sums.remove(&oid));
        Ok(page.into_iter().map(with_sum).collect())
    }

    async fn sums(&mut self, oids: &[String]) -> Result<HashMap<u32, (i64, String)>, PgError> {
        if oids.is_empty() {
            return Ok(HashMap::new());
        }
        let oids = oids.to_vec();
        let sql = include_str!("../sql/alone_large_object_sums.sql");
        let rows = self
            .session
            .query(sql, &[&oids, &LARGE_OBJECT_PIECE_BYTES])
            .await?;
        let sum = |row: &DataRow| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)));
        rows.iter().map(sum).collect()
    }
}

/// Compares the large objects of both sides.
pub(crate) async fn compare(
    source: &mut Session,
    target: &mut Session,
) -> Result<LargeObjects, Error> {
    let mut here = Listing::new(source, Side::Source);
    let mut there = Listing::new(target, Side::Target);
    let mut report = LargeObjectsReport::default();
    loop {
        let (one, other) = tokio::try_join!(here.peek(), there.peek())?;
        let (oid, kind) = match (one, other) {
            (None, None) => break,
            (Some(oid), None) => (oid, Some(DifferenceKind::Missing)),
            (None, Some(oid)) => (oid, Some(DifferenceKind::Extra)),
            (Some(one), Some(other)) if one < other => (one, Some(DifferenceKind::Missing)),
            (Some(one), Some(other)) if one > other => (other, Some(DifferenceKind::Extra)),
            (Some(oid), Some(_)) => (oid, None),
        };
        let kind = match kind {
            Some(DifferenceKind::Missing) => {
                here.take();
                kind
            }
            Some(_) => {
                there.take();
                kind
            }
            None => contents(&mut here, &mut there, &mut report),
        };
        if let Some(kind) = kind {
            report.differing += 1;
            if report.differences.len() < LARGE_OBJECTS_NAMED {
                let difference = LargeObjectDifference { oid, kind };
                report.differences.push(difference);
            }
        }
    }
    (report.source, report.target) = (here.seen, there.seen);
    let errors = [&here, &there].into_iter().filter(|l| l.unread > 0);
    Ok(LargeObjects {
        report,
        errors: errors.map(not_compared).collect(),
    })
}

/// Compares one that both sides have.
fn contents(
    here: &mut Listing<'_>,
    there: &mut Listing<'_>,
    report: &mut LargeObjectsReport,
) -> Option<DifferenceKind> {
    let (one, other) = (here.take(), there.take());
    here.unread += u64::from(one.is_none());
    there.unread += u64::from(other.is_none());
    if one.is_none() || other.is_none() {
        report.not_read += 1;
        return None;
    }
    (one != other).then_some(DifferenceKind::Different)
}

fn not_compared(listing: &Listing<'_>) -> NotCompared {
    NotCompared {
        kind: Uncompared::LargeObjects,
        name: None,
        side: listing.side,
        why: format!("permission denied for {} of them", listing.unread),
    }
}
