//! A pair of sessions that compares part after part of whatever table is next. A large table
//! is cut as it is read: whoever takes it cuts one part off and gives the rest back, so that
//! all workers share it. Holds always: a part that was read was not emptied meanwhile, or is
//! said to be disturbed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use trunkline_changes::Side;
use trunkline_postgres::{Fault, OnSide, PgError, Session};

use crate::checksum::{Checksum, checksum};
use crate::compare::Sides;
use crate::comparison::End;
use crate::difference::RowDifference;
use crate::emptied::was_rewritten;
use crate::limits::PART_ROWS_AT_LEAST;
use crate::listing::list;
use crate::merge::Leftovers;
use crate::naming::{Named, name};
use crate::shape::{Range, Rows, Shape};
use crate::verdict::Tally;

/// Locks taken after it are given back by going back to it.
pub(crate) const BEFORE_TABLE: &str = "before_table";

/// The rest of a table that is to be compared.
pub(crate) struct Task {
    shape: Arc<Shape>,
    above: Option<String>,
    /// Parts that were cut off before.
    cut_off: usize,
    /// It is read at once, from its first page to the last, which takes less time than in the
    /// order of a key; parts are for many workers, and for what differs.
    at_once: bool,
}

impl Task {
    /// All of it, of so many bytes that are to be read by so many workers: a table that is no
    /// more than one worker's share is read at once.
    pub(crate) fn whole(shape: Arc<Shape>, total_bytes: u64, workers: usize) -> Self {
        let share = total_bytes / workers.max(1) as u64;
        let at_once = shape.comparison.bytes <= share + share / 4;
        Task {
            shape,
            above: None,
            cut_off: 0,
            at_once,
        }
    }
}

pub(crate) type Queue = Arc<Mutex<VecDeque<Task>>>;

/// A part that was compared.
pub(crate) struct Part {
    pub(crate) shape: Arc<Shape>,
    /// Counted from 1.
    pub(crate) number: usize,
    /// No part lies behind it.
    pub(crate) is_last: bool,
    pub(crate) tally: Tally,
    pub(crate) rows: Vec<RowDifference>,
}

/// The checksums of both sides, each with whether a table was emptied meanwhile.
pub(crate) type Sums = ((Checksum, bool), (Checksum, bool));

/// A session on either side.
pub(crate) struct Worker {
    pub(crate) from: Session,
    pub(crate) to: Session,
    pub(crate) sides: Sides,
    /// How long checksums took on the side that changes come from.
    pub(crate) source_time: Duration,
}

impl Worker {
    /// Compares until nothing is left; gives itself back.
    pub(crate) async fn work(
        mut self,
        queue: Queue,
        parts: mpsc::Sender<Part>,
    ) -> Result<Self, Fault> {
        loop {
            let next = lock(&queue).pop_front();
            let Some(task) = next else {
                return Ok(self);
            };
            let (range, rest) = self.cut(&task).await?;
            let is_last = rest.is_none();
            if let Some(rest) = rest {
                lock(&queue).push_front(rest);
            }
            let part = Rows::Range(range);
            let (mut tally, differ) = self.compare(&task.shape, &part).await?;
            if differ && task.at_once && task.shape.is_worth_cutting() {
                let parts = Task {
                    at_once: false,
                    ..task
                };
                self.give_back_locks(&parts.shape).await?;
                lock(&queue).push_front(parts);
                continue;
            }
            let mut rows = Vec::new();
            if differ {
                let began = Instant::now();
                let named = self.drill(&task.shape, &part).await?;
                tally.differing = named.counts;
                tally.took += began.elapsed();
                rows = named.rows;
            }
            self.give_back_locks(&task.shape).await?;
            let part = Part {
                number: task.cut_off + 1,
                shape: task.shape,
                is_last,
                tally,
                rows,
            };
            if parts.send(part).await.is_err() {
                return Ok(self);
            }
        }
    }

    /// The next part of a table, and what is left behind it.
    async fn cut(&mut self, task: &Task) -> Result<(Range, Option<Task>), Fault> {
        if task.at_once {
            return Ok((Range::default(), None));
        }
        let range = self.cut_off(&task.shape, task.above.clone()).await?;
        let rest = range.up_to.clone().map(|above| Task {
            shape: Arc::clone(&task.shape),
            above: Some(above),
            cut_off: task.cut_off + 1,
            at_once: false,
        });
        Ok((range, rest))
    }

    /// The part of a table that begins above a key; without an end when it is the last one.
    pub(crate) async fn cut_off(
        &mut self,
        shape: &Shape,
        above: Option<String>,
    ) -> Result<Range, Fault> {
        let mut range = Range { above, up_to: None };
        if !shape.is_worth_cutting() {
            return Ok(range);
        }
        let doing = "cutting a table into parts";
        let rows = self
            .rows_of_a_part(shape)
            .await
            .on(self.sides.from, doing)?;
        if let Some(sql) = shape.cut_sql(range.above.as_deref(), rows) {
            let row = self.from.query_opt(&sql, &[]).await;
            let row = row.on(self.sides.from, doing)?;
            let end = row.map(|row| row.get::<String>(0)).transpose();
            range.up_to = end.on(self.sides.from, doing)?;
        }
        Ok(range)
    }

    /// How many rows are about the bytes of a part.
    async fn rows_of_a_part(&mut self, shape: &Shape) -> Result<u64, PgError> {
        // A table that was never analyzed has -1, or 0 before 14: rows of 100 bytes, then.
        let sql = "SELECT (CASE WHEN reltuples > 0 THEN reltuples \
                   ELSE pg_catalog.pg_relation_size(oid) / 100 END)::bigint \
                   FROM pg_catalog.pg_class WHERE oid = $1::text::pg_catalog.regclass";
        let name = shape.comparison.sources[0].quoted();
        let rows: u64 = self.from.query_one(sql, &[&name]).await?.get(0)?;
        let part_bytes = shape.comparison.part_bytes.max(1);
        let parts = shape.comparison.bytes.div_ceil(part_bytes).max(1);
        Ok((rows / parts).max(PART_ROWS_AT_LEAST))
    }

    /// The checksums of a part, and whether its rows differ. Its locks stay: until they are
    /// given back nobody empties it.
    async fn compare(&mut self, shape: &Shape, part: &Rows) -> Result<(Tally, bool), Fault> {
        let began = Instant::now();
        let (from, to) = self.sums(shape, part).await?;
        let mut tally = Tally {
            parts_differ: from.0 != to.0,
            disturbed: from.1 || to.1,
            ..Tally::default()
        };
        let (from, to) = (from.0, to.0);
        (tally.source, tally.target) = match self.sides.from {
            Side::Source => (from, to),
            Side::Target => (to, from),
        };
        let differ = tally.parts_differ && !tally.disturbed;
        tally.took = began.elapsed();
        Ok((tally, differ))
    }

    /// The checksums of both sides, and whether a table was emptied meanwhile.
    pub(crate) async fn sums(&mut self, shape: &Shape, part: &Rows) -> Result<Sums, Fault> {
        let was_wide = shape.is_wide();
        let first = self.sums_once(shape, part).await;
        match first {
            Err(fault) if !was_wide && is_too_wide(&fault.cause) => {
                self.give_back_locks(shape).await?;
                shape.hash_columns_one_by_one();
                self.sums_once(shape, part).await
            }
            // Another worker changed the way of hashing between the two sides.
            Ok(_) if shape.is_wide() != was_wide => self.sums_once(shape, part).await,
            sums => sums,
        }
    }

    async fn sums_once(&mut self, shape: &Shape, part: &Rows) -> Result<Sums, Fault> {
        let Worker {
            from,
            to,
            sides,
            source_time,
        } = self;
        let doing = || format!("computing the checksum of {}", shape.comparison.target);
        let began = Instant::now();
        let (from, to) = tokio::join!(
            async {
                let sum = sum_of_sources(from, shape, part).await;
                *source_time += began.elapsed();
                sum
            },
            sum_of_target(to, shape, part)
        );
        Ok((from.on(sides.from, doing())?, to.on(sides.to, doing())?))
    }

    /// The rows of a part that differ.
    async fn drill(&mut self, shape: &Shape, rows: &Rows) -> Result<Named, Fault> {
        let left = self.list(shape, rows).await?;
        self.name(shape, left).await
    }

    pub(crate) async fn list(&mut self, shape: &Shape, rows: &Rows) -> Result<Leftovers, Fault> {
        let Worker {
            from, to, sides, ..
        } = self;
        list(from, to, *sides, shape, rows).await
    }

    pub(crate) async fn name(&mut self, shape: &Shape, left: Leftovers) -> Result<Named, Fault> {
        let Worker {
            from, to, sides, ..
        } = self;
        name(from, to, *sides, shape, left).await
    }

    /// Gives back the locks on the tables that were read, so that whoever empties one of
    /// them waits for no other comparison.
    async fn give_back_locks(&mut self, shape: &Shape) -> Result<(), Fault> {
        let sql = format!("ROLLBACK TO SAVEPOINT {BEFORE_TABLE}");
        let doing = || format!("giving back the locks on {}", shape.comparison.target);
        let (from, to) = tokio::join!(self.from.batch(&sql), self.to.batch(&sql));
        from.on(self.sides.from, doing())?;
        to.on(self.sides.to, doing())?;
        Ok(())
    }
}

fn lock(queue: &Queue) -> std::sync::MutexGuard<'_, VecDeque<Task>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A row, or what is made of it on the way to its hash, is larger than a value may be
/// (54000 `program_limit_exceeded`; the allocator says XX000).
fn is_too_wide(error: &PgError) -> bool {
    error
        .sqlstate()
        .is_some_and(|state| ["54000", "XX000"].contains(&state.as_str()))
}

async fn sum_of_sources(
    session: &mut Session,
    shape: &Shape,
    part: &Rows,
) -> Result<(Checksum, bool), PgError> {
    let (mut whole, mut gone) = (Checksum::default(), false);
    for table in &shape.comparison.sources {
        let sum = checksum(session, shape, table, End::From, part).await?;
        whole = whole.and(&sum);
        gone |= was_rewritten(session, table).await?;
    }
    Ok((whole, gone))
}

async fn sum_of_target(
    session: &mut Session,
    shape: &Shape,
    part: &Rows,
) -> Result<(Checksum, bool), PgError> {
    let table = &shape.comparison.target;
    let sum = checksum(session, shape, table, End::To, part).await?;
    Ok((sum, was_rewritten(session, table).await?))
}
