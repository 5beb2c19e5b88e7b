//! From lines to messages of `pgoutput`. A transaction is held until its COMMIT, which alone
//! tells where it ends; one that grows beyond [`HELD_TRANSACTION_BYTES`] goes on as a streamed
//! one, which the assembler keeps within its own bounds.

use super::commit_lsn;
use super::line::{self, Line};
use super::message::{self, End, Frame};
use super::table::{Outcome, Table};
use crate::error::StreamError;
use crate::limits::{HELD_TRANSACTION_BYTES, PASSED_OVER_TABLES};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use trunkline_changes::Lsn;

/// Puts lines into messages. Feed a line, take what comes until another line is wanted.
pub(crate) struct Translator {
    /// Transactions that end at or before it are not wanted.
    after: Lsn,
    tables: HashMap<Vec<u8>, Option<Table>>,
    passed_over: usize,
    open: Option<Open>,
    work: VecDeque<Work>,
    /// Transactions so far, to tell in which of them a table was described.
    transactions: u64,
    asked: bool,
}

/// A transaction whose COMMIT has not come.
struct Open {
    xid: u32,
    held: Vec<Bytes>,
    held_bytes: usize,
    streamed: bool,
}

enum Work {
    Message(Bytes),
    Line(Frame, Bytes),
}

/// What is next.
#[derive(Debug)]
pub(crate) enum Next {
    /// A message for the assembler.
    Message(Bytes),
    /// Another line is wanted.
    Line,
    /// The catalog is to be asked, and [`Translator::learn`] told.
    Asks(Question),
}

/// What is to be asked of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Which table has this name, as the lines quote it?
    Table(Vec<u8>),
    /// The columns of the table of that OID are others than were known.
    Columns(u32),
}

/// What the catalog said.
pub(crate) enum Answer {
    /// The table has a name that is streamed; or `None`, and its lines are passed over.
    Table(Option<Box<Table>>),
    /// What is known of the table now; `None` when it is gone.
    Columns(Option<super::catalog::TableFacts>),
}

impl Translator {
    /// For the transactions that end after a position.
    pub(crate) fn new(after: Lsn, tables: Vec<(Vec<u8>, Table)>) -> Self {
        let tables = tables.into_iter().map(|(raw, table)| (raw, Some(table)));
        Translator {
            after,
            tables: tables.collect(),
            passed_over: 0,
            open: None,
            work: VecDeque::new(),
            transactions: 0,
            asked: false,
        }
    }

    /// Begins anew, for another assembler.
    pub(crate) fn restart(&mut self, after: Lsn) {
        self.after = after;
        self.open = None;
        self.work.clear();
        self.asked = false;
        self.forget_described();
    }

    /// Whether no transaction is half read.
    pub(crate) fn is_between_transactions(&self) -> bool {
        self.open.is_none() && self.work.is_empty()
    }

    /// Takes a line and the position that came with it, which is the transaction's end for
    /// a COMMIT.
    pub(crate) fn feed(&mut self, position: Lsn, line: Bytes) -> Result<(), StreamError> {
        if line.starts_with(b"BEGIN ") || line.starts_with(b"COMMIT ") {
            return self.boundary(position, &line);
        }
        let Some(open) = &mut self.open else {
            return match line::parse(&line)? {
                Line::Emitted {
                    transactional: false,
                    ..
                } => Ok(()),
                _ => Err(StreamError::OutOfOrder(
                    "a line outside of a transaction".into(),
                )),
            };
        };
        if open.streamed {
            let frame = Frame::Streamed { xid: open.xid };
            self.work.push_back(Work::Line(frame, line));
            return Ok(());
        }
        open.held_bytes += line.len() + size_of::<Bytes>();
        open.held.push(line);
        if open.held_bytes > HELD_TRANSACTION_BYTES {
            open.streamed = true;
            let frame = Frame::Streamed { xid: open.xid };
            let start = message::stream_start(open.xid);
            self.work.push_back(Work::Message(start));
            let held = std::mem::take(&mut open.held).into_iter();
            self.work.extend(held.map(|line| Work::Line(frame, line)));
        }
        Ok(())
    }

    fn boundary(&mut self, position: Lsn, line: &[u8]) -> Result<(), StreamError> {
        match (line::parse(line)?, self.open.take()) {
            (Line::Begin { xid }, None) => {
                self.transactions += 1;
                self.open = Some(Open {
                    xid,
                    held: Vec::new(),
                    held_bytes: 0,
                    streamed: false,
                });
                Ok(())
            }
            (
                Line::Commit {
                    xid,
                    committed_at_micros,
                },
                Some(open),
            ) if open.xid == xid => {
                let end = End {
                    xid,
                    commit_lsn: commit_lsn(position),
                    lsn: position,
                    committed_at_micros,
                };
                self.end(open, end);
                Ok(())
            }
            (Line::Begin { .. }, Some(_)) => Err(StreamError::OutOfOrder(
                "a BEGIN inside of a transaction".into(),
            )),
            _ => Err(StreamError::OutOfOrder("a COMMIT without its BEGIN".into())),
        }
    }

    fn end(&mut self, open: Open, end: End) {
        let delivered = end.lsn <= self.after;
        if open.streamed {
            self.work.push_back(Work::Message(message::stream_stop()));
            self.work
                .push_back(Work::Message(message::stream_commit(end)));
            if delivered {
                // The assembler drops it whole, with the descriptions in it.
                self.forget_described();
            }
        } else if !delivered {
            self.work.push_back(Work::Message(message::begin(end)));
            let lines = open.held.into_iter();
            self.work
                .extend(lines.map(|line| Work::Line(Frame::Plain, line)));
            self.work.push_back(Work::Message(message::commit(end)));
        }
    }

    /// What comes of the lines so far.
    pub(crate) fn next(&mut self) -> Result<Next, StreamError> {
        while let Some(work) = self.work.pop_front() {
            let (frame, line) = match work {
                Work::Message(message) => return Ok(Next::Message(message)),
                Work::Line(frame, line) => (frame, line),
            };
            match self.translate(frame, &line)? {
                Translated::Messages(relations, change) => {
                    self.asked = false;
                    let mut messages = relations.into_iter().chain(change);
                    let Some(first) = messages.next() else {
                        continue;
                    };
                    for message in messages.rev() {
                        self.work.push_front(Work::Message(message));
                    }
                    return Ok(Next::Message(first));
                }
                Translated::Asks(question) => {
                    self.work.push_front(Work::Line(frame, line));
                    return Ok(Next::Asks(question));
                }
            }
        }
        Ok(Next::Line)
    }

    /// Takes the answer to a question.
    pub(crate) fn learn(&mut self, question: Question, answer: Answer) {
        match (question, answer) {
            (Question::Table(raw), Answer::Table(table)) => {
                if table.is_none() {
                    self.pass_over_one_more();
                }
                self.tables.insert(raw, table.map(|table| *table));
            }
            (Question::Columns(oid), Answer::Columns(facts)) => {
                self.asked = true;
                let tables = self.tables.values_mut().flatten();
                for table in tables.filter(|table| table.id() == oid) {
                    if let Some(facts) = &facts {
                        table.learn(facts);
                    }
                }
            }
            _ => {}
        }
    }

    /// A database that makes tables all the time does not fill our memory with their names.
    fn pass_over_one_more(&mut self) {
        self.passed_over += 1;
        if self.passed_over > PASSED_OVER_TABLES {
            self.tables.retain(|_, table| table.is_some());
            self.passed_over = 1;
        }
    }

    fn forget_described(&mut self) {
        for table in self.tables.values_mut().flatten() {
            table.forget_described();
        }
    }

    fn translate(&mut self, frame: Frame, line: &[u8]) -> Result<Translated, StreamError> {
        let place = (frame, self.transactions);
        match line::parse(line)? {
            Line::Change { table, operation } => {
                let Some(known) = self.tables.get_mut(table) else {
                    return Ok(Translated::Asks(Question::Table(table.to_vec())));
                };
                let Some(table) = known else {
                    return Ok(Translated::nothing());
                };
                Ok(match table.change(operation, place, self.asked)? {
                    Outcome::Messages(relation, change) => {
                        Translated::Messages(relation.into_iter().collect(), change)
                    }
                    Outcome::UnknownColumn => Translated::Asks(Question::Columns(table.id())),
                })
            }
            Line::Truncate {
                tables,
                cascade,
                restart_identity,
            } => Ok(self.truncate(&tables, place, (cascade, restart_identity))),
            Line::Emitted {
                transactional: true,
                prefix,
                content,
            } => Ok(Translated::Messages(
                Vec::new(),
                Some(message::emitted(frame, prefix, content)),
            )),
            Line::Emitted { .. } => Ok(Translated::nothing()),
            Line::Begin { .. } | Line::Commit { .. } => {
                unreachable!("boundaries are not kept as lines")
            }
        }
    }

    fn truncate(
        &mut self,
        names: &[&[u8]],
        (frame, transaction): (Frame, u64),
        (cascade, restart_identity): (bool, bool),
    ) -> Translated {
        if let Some(unknown) = names.iter().find(|&&name| !self.tables.contains_key(name)) {
            return Translated::Asks(Question::Table(unknown.to_vec()));
        }
        let (mut ids, mut relations) = (Vec::new(), Vec::new());
        for &name in names {
            if let Some(Some(table)) = self.tables.get_mut(name) {
                ids.push(table.id());
                relations.extend(table.describe(frame, transaction));
            }
        }
        if ids.is_empty() {
            return Translated::nothing();
        }
        let change = message::truncate(frame, &ids, cascade, restart_identity);
        Translated::Messages(relations, Some(change))
    }
}

/// What a line became.
enum Translated {
    /// Descriptions of tables, and the change.
    Messages(Vec<Bytes>, Option<Bytes>),
    Asks(Question),
}

impl Translated {
    fn nothing() -> Self {
        Translated::Messages(Vec::new(), None)
    }
}
