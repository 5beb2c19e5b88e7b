//! The assembler against a small model of a server: transactions with savepoints, streamed in
//! blocks that lie between each other's.

use super::Assembler;
use super::tests::{
    abort, assembler, begin, commit, delivered, feed, insert, plain, relation, start, stop,
    stream_commit, streamed,
};
use crate::pgoutput::Message;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::HashSet;
use trunkline_changes::{Lsn, StreamEvent};

/// One thing that a running transaction does.
#[derive(Clone, Debug)]
enum Act {
    Insert { subxid: u32, value: u32 },
    Rollback { subxid: u32 },
}

/// A transaction of the model, with how its stream is cut into blocks.
#[derive(Clone, Debug)]
struct Modelled {
    acts: Vec<Act>,
    block_ends: Vec<bool>,
    commits: bool,
}

/// Acts from a list of choices: inserts into the current savepoint, savepoints set, and
/// savepoints rolled back.
fn modelled() -> impl Strategy<Value = Modelled> {
    let choices = prop::collection::vec((0_u8..8, any::<u32>(), prop::bool::weighted(0.2)), 1..40);
    (choices, prop::bool::weighted(0.8)).prop_map(|(choices, commits)| {
        let (mut savepoints, mut next) = (vec![0], 1);
        let (mut acts, mut block_ends) = (Vec::new(), Vec::new());
        for (choice, value, block_end) in choices {
            match choice {
                0 => {
                    savepoints.push(next);
                    next += 1;
                }
                1 if savepoints.len() > 1 => {
                    let subxid = savepoints.pop().expect("more than one");
                    acts.push(Act::Rollback { subxid });
                    block_ends.push(true);
                }
                _ => {
                    let subxid = *savepoints.last().expect("the transaction itself");
                    acts.push(Act::Insert { subxid, value });
                    block_ends.push(block_end);
                }
            }
        }
        Modelled {
            acts,
            block_ends,
            commits,
        }
    })
}

impl Modelled {
    fn kept(&self) -> Vec<u32> {
        let gone: HashSet<u32> = self
            .acts
            .iter()
            .filter_map(|act| match act {
                Act::Rollback { subxid } => Some(*subxid),
                Act::Insert { .. } => None,
            })
            .collect();
        self.acts
            .iter()
            .filter_map(|act| match act {
                Act::Insert { subxid, value } if !gone.contains(subxid) => Some(*value),
                _ => None,
            })
            .collect()
    }

    /// The stream of transaction `xid` in pieces that others may come between.
    fn pieces(&self, xid: u32, commit: u64) -> Vec<Vec<Bytes>> {
        let (mut pieces, mut open) = (Vec::new(), Vec::new());
        let (mut first, mut described) = (true, false);
        for (act, block_end) in self.acts.iter().zip(&self.block_ends) {
            match act {
                Act::Insert { subxid, value } => {
                    if open.is_empty() {
                        open.push(start(xid, first));
                        first = false;
                    }
                    if !described {
                        open.push(streamed(&Message::Relation(relation(1)), xid + subxid));
                        described = true;
                    }
                    open.push(streamed(&insert(*value, 1), xid + subxid));
                }
                Act::Rollback { subxid } => {
                    close(&mut open, &mut pieces);
                    pieces.push(vec![abort(xid, xid + subxid)]);
                    described = false;
                }
            }
            if *block_end {
                close(&mut open, &mut pieces);
            }
        }
        close(&mut open, &mut pieces);
        if first {
            pieces.push(vec![start(xid, true), stop()]);
        }
        pieces.push(vec![if self.commits {
            stream_commit(xid, commit)
        } else {
            abort(xid, xid)
        }]);
        pieces
    }
}

fn close(open: &mut Vec<Bytes>, pieces: &mut Vec<Vec<Bytes>>) {
    if !open.is_empty() {
        open.push(stop());
        pieces.push(std::mem::take(open));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn interleaved_streamed_transactions_are_delivered_whole_in_commit_order(
        modelled in prop::collection::vec(modelled(), 1..5),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        memory_bytes in prop_oneof![Just(0_usize), Just(200_000), Just(1 << 30)],
    ) {
        let mut queues: Vec<_> = modelled.iter().zip(0_u32..).map(|(transaction, index)| {
            let xid = 1000 * (index + 1);
            (xid, transaction, transaction.pieces(xid, 0).len())
        }).collect();
        // Whose piece comes next; commit positions rise in the order in which they end.
        let (mut messages, mut expected, mut position) = (Vec::new(), Vec::new(), 100);
        let mut taken = vec![0; queues.len()];
        let mut order = order.into_iter();
        while !queues.is_empty() {
            let chosen = order.next().map_or(0, |index| index.index(queues.len()));
            let (xid, transaction, count) = queues[chosen];
            let which = (xid / 1000 - 1) as usize;
            let pieces = transaction.pieces(xid, position);
            messages.extend(pieces[taken[which]].iter().cloned());
            taken[which] += 1;
            if taken[which] == count {
                queues.remove(chosen);
                if transaction.commits {
                    expected.extend(delivered(xid, position, &transaction.kept(), 1));
                    position += 100;
                }
            }
        }
        let folder = tempfile::tempdir().expect("a folder");
        let mut assembler = Assembler::new(Lsn::ZERO, folder.path().to_owned(), memory_bytes);
        let events = feed(&mut assembler, &messages);
        prop_assert_eq!(events.expect("well-formed"), expected);
        prop_assert_eq!((assembler.memory_bytes(), assembler.file_bytes()), (0, 0));
    }

    #[test]
    fn no_order_of_messages_panics(choices in prop::collection::vec(0_usize..12, 0..40)) {
        let alphabet = [
            begin(5, 100), commit(100), begin(6, 200), commit(200), start(5, true), start(5, false), stop(),
            stream_commit(5, 100), abort(5, 6), abort(5, 5), plain(&Message::Relation(relation(1))), plain(&insert(1, 1)),
        ];
        let messages: Vec<Bytes> = choices.into_iter().map(|choice| alphabet[choice].clone()).collect();
        drop(feed(&mut assembler(0), &messages));
    }
}

#[test]
fn a_transaction_larger_than_memory_is_kept_within_the_bound() {
    const LIMIT_BYTES: usize = 1 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let mut assembler = Assembler::new(Lsn::ZERO, folder.path().to_owned(), LIMIT_BYTES);
    let mut peak_bytes = 0;
    for block in 0..400 {
        feed(
            &mut assembler,
            &[
                start(5, block == 0),
                streamed(&Message::Relation(relation(3)), 5),
            ],
        )
        .expect("room");
        for value in 0..500 {
            assembler
                .feed(streamed(&insert(value, 3), 5))
                .expect("room");
            peak_bytes = peak_bytes.max(assembler.memory_bytes());
        }
        feed(&mut assembler, &[stop()]).expect("room");
    }
    assert!(peak_bytes <= LIMIT_BYTES, "{peak_bytes}");
    assert!(assembler.file_bytes() > 5 * LIMIT_BYTES as u64);
    assembler.feed(stream_commit(5, 100)).expect("known");
    let mut changes = 0;
    while let Some(event) = assembler.next_event().expect("readable") {
        changes += usize::from(matches!(event, StreamEvent::Change(_)));
        assert!(assembler.memory_bytes() <= LIMIT_BYTES);
    }
    assert_eq!(changes, 200_000);
    assert_eq!(assembler.memory_bytes(), 0);
}
