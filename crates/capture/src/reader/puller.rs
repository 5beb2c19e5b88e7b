//! From received messages to bounded lists of events, for both readers.

use super::queue::{Drain, NoMore, Nothing, Received};
use crate::assembler::Assembler;
use crate::error::StreamError;
use crate::limits::{PULL_BYTES, PULL_EVENTS};
use crate::test_decoding::{Lookup, LookupError, Next, Question, Translator};
use tokio::time::Instant;
use trunkline_changes::{Change, Lsn, StreamEvent};
use trunkline_postgres::PgError;

/// Drives an assembler with what a queue brings.
pub(super) struct Puller {
    drain: Drain,
    text: Option<Text>,
    assembler: Assembler,
    keepalive: Option<Lsn>,
    messages: u64,
}

/// Puts lines into messages, and asks the catalog what they do not say.
pub(super) struct Text {
    pub(super) translator: Translator,
    pub(super) lookup: Lookup,
}

/// What came.
pub(super) enum Step {
    Events(Vec<StreamEvent>),
    /// Nothing until the deadline.
    TimedOut,
    /// The queue has ended in an orderly way.
    Ended,
}

/// Why nothing can come any more.
pub(super) enum Broken {
    Connection(PgError),
    Stream(StreamError),
}

impl From<StreamError> for Broken {
    fn from(error: StreamError) -> Self {
        Broken::Stream(error)
    }
}

impl From<LookupError> for Broken {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Server(error) => Broken::Connection(error),
            LookupError::Stream(error) => Broken::Stream(error),
        }
    }
}

impl Puller {
    pub(super) fn new(drain: Drain, text: Option<Text>, assembler: Assembler) -> Self {
        Puller {
            drain,
            text,
            assembler,
            keepalive: None,
            messages: 0,
        }
    }

    pub(super) fn assembler(&self) -> &Assembler {
        &self.assembler
    }

    /// Takes out what can serve another puller.
    pub(super) fn take_text(&mut self) -> Option<Text> {
        self.text.take()
    }

    /// The process of the session that asks the catalog, if one does.
    pub(super) fn asking_process(&self) -> Option<i32> {
        self.text.as_ref().and_then(|text| text.lookup.process_id())
    }

    /// Whether no transaction is half delivered or half read.
    pub(super) fn is_between_transactions(&self) -> bool {
        let read = self.text.as_ref();
        self.assembler.is_between_transactions()
            && read.is_none_or(|text| text.translator.is_between_transactions())
    }

    /// Messages taken so far.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// How far the server has read: the last position that came behind everything delivered.
    pub(super) fn idle_position(&self) -> Option<Lsn> {
        self.keepalive.filter(|_| self.is_between_transactions())
    }

    /// Gathers what is there, and waits only when nothing is; without a deadline for as long
    /// as it takes. Cancel-safe: while it waits, nothing is in hand.
    pub(super) async fn pull(&mut self, deadline: Option<Instant>) -> Result<Step, Broken> {
        let mut events = Vec::new();
        let mut bytes = 0;
        loop {
            while let Some(event) = self.assembler.next_event()? {
                bytes += event_bytes(&event);
                events.push(event);
                if events.len() >= PULL_EVENTS || bytes >= PULL_BYTES {
                    return Ok(Step::Events(events));
                }
            }
            match self.translate()? {
                Translation::Fed => continue,
                Translation::Wanting => {}
                // What is in hand goes out first; the line asks again.
                Translation::Asks(_) if !events.is_empty() => return Ok(Step::Events(events)),
                Translation::Asks(question) => {
                    self.ask(question).await?;
                    continue;
                }
            }
            match self.drain.try_next() {
                Ok(received) => self.take(received)?,
                Err(_) if !events.is_empty() => return Ok(Step::Events(events)),
                Err(Nothing::More) => return Ok(Step::Ended),
                Err(Nothing::Yet) => match self.wait(deadline).await {
                    Some(Ok(())) => {}
                    Some(Err(NoMore::Ended)) => return Ok(Step::Ended),
                    Some(Err(NoMore::Failed(error))) => return Err(Broken::Connection(error)),
                    None => return Ok(Step::TimedOut),
                },
            }
        }
    }

    /// Feeds the assembler with what the lines so far have become.
    fn translate(&mut self) -> Result<Translation, Broken> {
        let Some(text) = &mut self.text else {
            return Ok(Translation::Wanting);
        };
        Ok(match text.translator.next()? {
            Next::Message(message) => {
                self.assembler.feed(message)?;
                Translation::Fed
            }
            Next::Line => Translation::Wanting,
            Next::Asks(question) => Translation::Asks(question),
        })
    }

    async fn ask(&mut self, question: Question) -> Result<(), Broken> {
        if let Some(text) = &mut self.text {
            let answer = text.lookup.answer(&question).await?;
            text.translator.learn(question, answer);
        }
        Ok(())
    }

    async fn wait(&mut self, deadline: Option<Instant>) -> Option<Result<(), NoMore>> {
        match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, self.drain.ready())
                .await
                .ok(),
            None => Some(self.drain.ready().await),
        }
    }

    fn take(&mut self, received: Received) -> Result<(), Broken> {
        match received {
            Received::Message(position, message) => {
                self.messages += 1;
                match &mut self.text {
                    Some(text) => text.translator.feed(position, message)?,
                    None => self.assembler.feed(message)?,
                }
            }
            Received::Keepalive(position) => self.keepalive = self.keepalive.max(Some(position)),
        }
        Ok(())
    }
}

/// What became of the lines so far.
enum Translation {
    /// The assembler has a message.
    Fed,
    /// Another line, or message, is wanted.
    Wanting,
    /// The catalog is to be asked first.
    Asks(Question),
}

fn event_bytes(event: &StreamEvent) -> usize {
    let rows = match event {
        StreamEvent::Change(Change::Insert { new, .. }) => new.value_bytes(),
        StreamEvent::Change(Change::Update { old, new, .. }) => {
            new.value_bytes() + old.as_ref().map_or(0, |old| old.row().value_bytes())
        }
        StreamEvent::Change(Change::Delete { old, .. }) => old.row().value_bytes(),
        StreamEvent::Change(Change::Message { content, .. }) => content.len(),
        StreamEvent::Change(Change::Truncate { .. })
        | StreamEvent::Begin(_)
        | StreamEvent::Commit { .. } => 0,
    };
    rows + size_of::<StreamEvent>()
}

#[cfg(test)]
mod tests {
    use super::super::queue::{Bundler, Room, queue};
    use super::*;
    use crate::pgoutput::encode::encode;
    use crate::pgoutput::{Framing, Message};

    #[tokio::test]
    async fn a_cut_between_transactions_is_told_after_what_came_before_it() {
        let (feeder, drain) = queue(&Room::new(1 << 20));
        let begin = Message::Begin {
            commit_lsn: Lsn::new(7),
            committed_at_micros: 0,
            xid: 1,
        };
        let commit = Message::Commit {
            commit_lsn: Lsn::new(7),
            end_lsn: Lsn::new(8),
            committed_at_micros: 0,
        };
        let mut bundler = Bundler::default();
        for message in [begin, commit] {
            bundler.push(Lsn::ZERO, encode(&message, Framing::Plain, 0));
        }
        assert!(feeder.clone().hand_over(bundler.take()).await.is_ok());
        feeder.fail(PgError::Closed).await;
        let assembler = Assembler::new(Lsn::ZERO, std::env::temp_dir(), 1 << 20);
        let mut puller = Puller::new(drain, None, assembler);
        let first = puller.pull(None).await;
        assert!(matches!(first, Ok(Step::Events(events)) if events.len() == 2));
        let second = puller.pull(None).await;
        assert!(matches!(second, Err(Broken::Connection(PgError::Closed))));
    }
}
