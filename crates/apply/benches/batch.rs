//! What a change of a row costs between the stream and the wire: time, and allocations by
//! number. Every bench goes over a batch of 1,000 changes, so a thousandth of a figure is the
//! figure of one change; `CopiedInserts` is one of 10,000, because fewer are not given to
//! COPY.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use trunkline_apply::micro::{Batch, Change, Table};
use trunkline_changes::{OldRow, ReplicaIdentity, Row, RowBuilder};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// What the batch holds.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// New rows of six values.
    Inserts,
    /// As many as COPY is used for.
    CopiedInserts,
    /// One update for each of the rows, of four values.
    Updates,
    /// 100 updates for each of ten rows.
    HotUpdates,
    /// One update for each of the rows, of 100 values.
    WideUpdates,
    /// Updates with the whole old row, of a table with a key.
    FullUpdates,
    /// The same without a key: each is a statement of its own.
    KeylessUpdates,
    Deletes,
    /// Updates of 40 tables, 25 for each: too few for sets.
    ManyTables,
}

const KINDS: [Kind; 9] = [
    Kind::Inserts,
    Kind::CopiedInserts,
    Kind::Updates,
    Kind::HotUpdates,
    Kind::WideUpdates,
    Kind::FullUpdates,
    Kind::KeylessUpdates,
    Kind::Deletes,
    Kind::ManyTables,
];

impl Kind {
    fn changes(self) -> usize {
        match self {
            Kind::CopiedInserts => 10_000,
            _ => 1_000,
        }
    }

    fn columns(self) -> usize {
        match self {
            Kind::Inserts | Kind::CopiedInserts => 6,
            Kind::WideUpdates => 100,
            _ => 4,
        }
    }

    fn tables(self) -> Vec<Table> {
        let (key, identity) = match self {
            Kind::FullUpdates => (1, ReplicaIdentity::Full),
            Kind::KeylessUpdates => (0, ReplicaIdentity::Full),
            _ => (1, ReplicaIdentity::Default),
        };
        let count = if matches!(self, Kind::ManyTables) {
            40
        } else {
            1
        };
        let table = |_| Table::new(self.columns(), key, identity);
        (0..count).map(table).collect()
    }

    fn change(self, number: usize) -> Change {
        let columns = self.columns();
        match self {
            Kind::Inserts | Kind::CopiedInserts => Change::insert(row(number, columns, 1)),
            Kind::Updates | Kind::WideUpdates | Kind::ManyTables => {
                Change::update(None, row(number, columns, 1))
            }
            Kind::HotUpdates => Change::update(None, row(number % 10, columns, number)),
            Kind::FullUpdates | Kind::KeylessUpdates => {
                let old = OldRow::Full(row(number, columns, 1));
                Change::update(Some(old), row(number, columns, 2))
            }
            Kind::Deletes => Change::delete(OldRow::Key(row(number, columns, 1))),
        }
    }

    fn batch(self, tables: &[Table]) -> Batch {
        let changes = (0..self.changes()).map(|number| self.change(number));
        gather(tables, changes)
    }
}

/// A row cut from a message: its number, then values of seven digits.
fn row(number: usize, columns: usize, seed: usize) -> Row {
    let mut text = String::new();
    let mut ends = Vec::new();
    for column in 0..columns {
        // Writing to a String cannot fail.
        let _written = match column {
            0 => write!(text, "{number}"),
            _ => write!(text, "{}", 1_000_000 + number * column + seed),
        };
        ends.push(text.len());
    }
    let message: Bytes = BytesMut::from(text.as_str()).freeze();
    let mut row = RowBuilder::borrowing(message, columns);
    let mut start = 0;
    for end in ends {
        row.push_range(start, end - start);
        start = end;
    }
    row.finish()
}

/// In transactions of four changes.
fn gather(tables: &[Table], changes: impl IntoIterator<Item = Change>) -> Batch {
    let mut batch = Batch::default();
    for (number, change) in changes.into_iter().enumerate() {
        batch.push(&tables[number % tables.len()], change);
        if number % 4 == 3 {
            batch.end();
        }
    }
    batch
}

/// Changes gathered.
#[divan::bench(args = KINDS)]
fn gathered(bencher: Bencher<'_, '_>, kind: Kind) {
    let tables = kind.tables();
    bencher
        .counter(ItemsCount::new(kind.changes()))
        .with_inputs(|| {
            (0..kind.changes())
                .map(|n| kind.change(n))
                .collect::<Vec<_>>()
        })
        .bench_values(|changes| gather(&tables, changes));
}

/// A batch folded to one change per row.
#[divan::bench(args = KINDS)]
fn folded(bencher: Bencher<'_, '_>, kind: Kind) {
    let tables = kind.tables();
    let batch = kind.batch(&tables);
    bencher
        .counter(ItemsCount::new(kind.changes()))
        .bench_local(|| batch.fold());
}

/// A batch folded, and its statements with their data.
#[divan::bench(args = KINDS)]
fn written(bencher: Bencher<'_, '_>, kind: Kind) {
    let tables = kind.tables();
    let batch = kind.batch(&tables);
    bencher
        .counter(ItemsCount::new(kind.changes()))
        .bench_local(|| batch.statements());
}
