//! What a message of the stream costs to read: time, and allocations by number. Every bench
//! goes over 1,000 changes of rows, so a thousandth of a figure is the figure of one change.
//! The messages lie in shared memory one behind the other, as the readers hand them over.

use std::hint::black_box;
use std::path::PathBuf;

use bytes::{BufMut, Bytes, BytesMut};
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use trunkline_capture::assembler::Assembler;
use trunkline_capture::pgoutput::{Framing, decode};
use trunkline_changes::Lsn;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const CHANGES: usize = 1_000;
const RELATION: u32 = 16_400;

fn main() {
    divan::main();
}

/// What the changes are.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Six values, as pgbench's history.
    Insert,
    /// Four values, one of them padded to 84 bytes, as pgbench's accounts.
    Update,
    /// The same with the whole old row.
    UpdateFull,
    /// A key, and three values that mean nothing.
    Delete,
    /// 100 values.
    UpdateWide,
}

const KINDS: [Kind; 5] = [
    Kind::Insert,
    Kind::Update,
    Kind::UpdateFull,
    Kind::Delete,
    Kind::UpdateWide,
];

impl Kind {
    fn columns(self) -> u16 {
        match self {
            Kind::Insert => 6,
            Kind::Update | Kind::UpdateFull | Kind::Delete => 4,
            Kind::UpdateWide => 100,
        }
    }

    fn change(self, number: usize, out: &mut BytesMut) {
        let letter = match self {
            Kind::Insert => b'I',
            Kind::Update | Kind::UpdateFull | Kind::UpdateWide => b'U',
            Kind::Delete => b'D',
        };
        out.put_u8(letter);
        out.put_u32(RELATION);
        match self {
            Kind::UpdateFull => {
                self.row(b'O', number, out);
                self.row(b'N', number, out);
            }
            Kind::Delete => self.row(b'K', number, out),
            _ => self.row(b'N', number, out),
        }
    }

    fn row(self, marker: u8, number: usize, out: &mut BytesMut) {
        out.put_u8(marker);
        out.put_u16(self.columns());
        value(out, number.to_string().as_bytes());
        for column in 1..self.columns() {
            match (marker, column) {
                (b'K', _) => out.put_u8(b'n'),
                (_, 3) => value(out, &[b' '; 84]),
                (_, column) => value(out, (number * usize::from(column)).to_string().as_bytes()),
            }
        }
    }
}

fn value(out: &mut BytesMut, text: &[u8]) {
    out.put_u8(b't');
    out.put_u32(u32::try_from(text.len()).expect("short"));
    out.put_slice(text);
}

/// The description of the table, then the changes in transactions of four.
struct Messages {
    memory: BytesMut,
    all: Vec<Bytes>,
    position: u64,
}

impl Messages {
    fn of(kind: Kind) -> Vec<Bytes> {
        let mut messages = Messages {
            memory: BytesMut::with_capacity(8 << 20),
            all: Vec::new(),
            position: 1_000,
        };
        for number in 0..CHANGES {
            if number % 4 == 0 {
                messages.begin();
            }
            if number == 0 {
                messages.describe(kind.columns());
            }
            kind.change(number, &mut messages.memory);
            messages.end_message();
            if number % 4 == 3 {
                messages.commit();
            }
        }
        messages.all
    }

    fn end_message(&mut self) {
        self.all.push(self.memory.split().freeze());
    }

    fn begin(&mut self) {
        self.memory.put_u8(b'B');
        self.memory.put_u64(self.position);
        self.memory.put_i64(0);
        self.memory.put_u32(700);
        self.end_message();
    }

    fn commit(&mut self) {
        self.memory.put_slice(b"C\0");
        self.memory.put_u64(self.position);
        self.memory.put_u64(self.position + 10);
        self.memory.put_i64(0);
        self.position += 20;
        self.end_message();
    }

    fn describe(&mut self, columns: u16) {
        self.memory.put_u8(b'R');
        self.memory.put_u32(RELATION);
        self.memory.put_slice(b"public\0accounts\0d");
        self.memory.put_u16(columns);
        for column in 0..columns {
            self.memory.put_u8(u8::from(column == 0));
            self.memory
                .put_slice(format!("column_{column}\0").as_bytes());
            self.memory.put_u32(25);
            self.memory.put_i32(-1);
        }
        self.end_message();
    }
}

/// Messages alone.
#[divan::bench(args = KINDS)]
fn decoded(bencher: Bencher<'_, '_>, kind: Kind) {
    let messages = Messages::of(kind);
    bencher
        .counter(ItemsCount::new(CHANGES))
        .with_inputs(|| messages.clone())
        .bench_values(|messages| {
            for message in messages {
                let message = decode(message, Framing::Plain);
                drop(black_box(message.expect("a message")));
            }
        });
}

/// Messages into transactions.
#[divan::bench(args = KINDS)]
fn assembled(bencher: Bencher<'_, '_>, kind: Kind) {
    let messages = Messages::of(kind);
    bencher
        .counter(ItemsCount::new(CHANGES))
        .with_inputs(|| {
            let assembler = Assembler::new(Lsn::ZERO, PathBuf::new(), usize::MAX);
            (assembler, messages.clone())
        })
        .bench_values(|(mut assembler, messages)| {
            for message in messages {
                assembler.feed(message).expect("a message");
                while let Some(event) = assembler.next_event().expect("an event") {
                    drop(black_box(event));
                }
            }
            assembler
        });
}
