//! Messages on their way from the task that reads a connection to the one that pulls, in
//! bundles, bounded by bytes. Small messages are copied into the bundle's own memory, so
//! that they do not keep the connection's read buffers.

use crate::limits::{BUNDLE_BYTES, BUNDLE_MESSAGES};
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use trunkline_changes::Lsn;
use trunkline_postgres::PgError;

/// What is handed over: a message of the plugin, or how far the server has read.
pub(super) enum Received {
    /// With the position that came with it; only what `test_decoding` prints needs it.
    Message(Lsn, Bytes),
    Keepalive(Lsn),
}

/// What a message takes beside its own bytes: its place in a list, which has up to twice as many
/// as it needs. Of small messages that is most of it.
const PLACE_BYTES: usize = 2 * size_of::<Received>();

/// Messages that travel together.
#[derive(Default)]
pub(super) struct Bundle {
    items: Vec<Received>,
    bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Bundle {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BUNDLE_BYTES || self.items.len() >= BUNDLE_MESSAGES
    }
}

/// Fills bundles.
#[derive(Default)]
pub(super) struct Bundler {
    memory: BytesMut,
    bundle: Bundle,
}

impl Bundler {
    /// Adds a message.
    pub(super) fn push(&mut self, position: Lsn, message: Bytes) {
        self.bundle.bytes += message.len() + PLACE_BYTES;
        let kept = if message.len() > BUNDLE_BYTES / 4 {
            message
        } else {
            if self.memory.capacity() < message.len() {
                self.memory = BytesMut::with_capacity(BUNDLE_BYTES);
            }
            self.memory.put_slice(&message);
            self.memory.split().freeze()
        };
        self.bundle.items.push(Received::Message(position, kept));
    }

    /// Adds how far the server has read.
    pub(super) fn push_keepalive(&mut self, position: Lsn) {
        self.bundle.items.push(Received::Keepalive(position));
    }

    pub(super) fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Takes what was gathered.
    pub(super) fn take(&mut self) -> Bundle {
        std::mem::take(&mut self.bundle)
    }
}

/// Room for messages that were received and not yet pulled. Queues that follow on each other
/// share it.
#[derive(Clone)]
pub(super) struct Room {
    bytes: usize,
    left: Arc<Semaphore>,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Room {
            bytes,
            left: Arc::new(Semaphore::new(bytes)),
        }
    }
}

/// The end that receives from the connection.
#[derive(Clone)]
pub(super) struct Feeder {
    room: Room,
    sender: mpsc::Sender<Result<Bundle, PgError>>,
}

/// Nobody pulls any more.
#[derive(Debug)]
pub(super) struct Abandoned;

impl Feeder {
    /// Waits for room, then hands the bundle over.
    pub(super) async fn hand_over(self, mut bundle: Bundle) -> Result<(), Abandoned> {
        // A message larger than all the room passes alone.
        let wanted = u32::try_from(bundle.bytes.min(self.room.bytes)).unwrap_or(u32::MAX);
        let permit = self.room.left.acquire_many_owned(wanted).await;
        bundle.permit = Some(permit.map_err(|_| Abandoned)?);
        self.sender.send(Ok(bundle)).await.map_err(|_| Abandoned)
    }

    /// Says why nothing more comes.
    pub(super) async fn fail(self, error: PgError) {
        // Nobody to hear it means that nobody pulls any more.
        let _unheard = self.sender.send(Err(error)).await;
    }
}

/// The end that pulls.
pub(super) struct Drain {
    receiver: mpsc::Receiver<Result<Bundle, PgError>>,
    items: std::vec::IntoIter<Received>,
    /// Room of the bundle that is open, given back when the next one is opened.
    permit: Option<OwnedSemaphorePermit>,
    /// Why nothing more comes, until that is told.
    failed: Option<PgError>,
}

/// Why there is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nothing {
    /// [`Drain::ready`] has to be asked.
    Yet,
    /// The connection has ended in an orderly way, and none will come.
    More,
}

/// What a wait for a message can end with, beside one.
#[derive(Debug)]
pub(super) enum NoMore {
    /// The connection has ended in an orderly way.
    Ended,
    /// The connection failed.
    Failed(PgError),
}

impl Drain {
    /// The next message that is here. A failure is not told here, where the caller may have
    /// something in hand to see to first and would take its silence at the next call for an
    /// orderly end: [`Drain::ready`] tells it.
    pub(super) fn try_next(&mut self) -> Result<Received, Nothing> {
        loop {
            if let Some(item) = self.items.next() {
                return Ok(item);
            }
            drop(self.permit.take());
            if self.failed.is_some() {
                return Err(Nothing::Yet);
            }
            match self.receiver.try_recv() {
                Ok(Ok(bundle)) => self.open(bundle),
                Ok(Err(error)) => self.failed = Some(error),
                Err(mpsc::error::TryRecvError::Empty) => return Err(Nothing::Yet),
                Err(mpsc::error::TryRecvError::Disconnected) => return Err(Nothing::More),
            }
        }
    }

    /// Waits until [`Drain::try_next`] has a message. Cancel-safe.
    pub(super) async fn ready(&mut self) -> Result<(), NoMore> {
        if let Some(error) = self.failed.take() {
            return Err(NoMore::Failed(error));
        }
        match self.receiver.recv().await {
            Some(Ok(bundle)) => {
                self.open(bundle);
                Ok(())
            }
            Some(Err(error)) => Err(NoMore::Failed(error)),
            None => Err(NoMore::Ended),
        }
    }

    fn open(&mut self, bundle: Bundle) {
        self.items = bundle.items.into_iter();
        self.permit = bundle.permit;
    }
}

/// A queue. Full bundles fill the room at about as many as it holds; small ones are bounded by
/// their number.
pub(super) fn queue(room: &Room) -> (Feeder, Drain) {
    let (sender, receiver) = mpsc::channel(room.bytes / BUNDLE_BYTES);
    let feeder = Feeder {
        room: room.clone(),
        sender,
    };
    let drain = Drain {
        receiver,
        items: Vec::new().into_iter(),
        permit: None,
        failed: None,
    };
    (feeder, drain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 1 << 20;

    fn bundle_of(bytes: usize) -> Bundle {
        let mut bundler = Bundler::default();
        bundler.push(Lsn::ZERO, Bytes::from(vec![0; bytes - PLACE_BYTES]));
        bundler.take()
    }

    #[tokio::test]
    async fn a_full_queue_waits_until_its_bytes_were_pulled() {
        let (feeder, mut drain) = queue(&Room::new(BYTES));
        let half = BYTES / 2;
        for _ in 0..2 {
            assert!(feeder.clone().hand_over(bundle_of(half)).await.is_ok());
        }
        let mut third = Box::pin(feeder.clone().hand_over(bundle_of(half)));
        let full = tokio::time::timeout(std::time::Duration::from_millis(20), &mut third).await;
        assert!(full.is_err(), "there is no room");
        assert!(drain.try_next().is_ok());
        assert!(
            drain.try_next().is_ok(),
            "the first bundle is given back when the second is opened"
        );
        assert!(third.await.is_ok());
    }

    #[tokio::test]
    async fn queues_that_share_a_room_have_no_more_of_it() {
        let room = Room::new(BYTES);
        let ((first, mut drain), (second, _drain)) = (queue(&room), queue(&room));
        assert!(first.hand_over(bundle_of(BYTES)).await.is_ok());
        let mut waits = Box::pin(second.hand_over(bundle_of(PLACE_BYTES)));
        let full = tokio::time::timeout(std::time::Duration::from_millis(20), &mut waits).await;
        assert!(full.is_err(), "there is no room");
        assert!(drain.try_next().is_ok());
        assert!(matches!(drain.try_next(), Err(Nothing::More)));
        assert!(waits.await.is_ok());
    }

    #[tokio::test]
    async fn a_message_larger_than_the_queue_passes_alone() {
        let (feeder, mut drain) = queue(&Room::new(BYTES));
        assert!(feeder.clone().hand_over(bundle_of(BYTES + 1)).await.is_ok());
        assert!(
            matches!(drain.try_next(), Ok(Received::Message(_, message)) if message.len() + PLACE_BYTES == BYTES + 1)
        );
    }

    #[tokio::test]
    async fn the_reason_for_the_end_comes_after_what_was_received() {
        let (feeder, mut drain) = queue(&Room::new(BYTES));
        assert!(
            feeder
                .clone()
                .hand_over(bundle_of(PLACE_BYTES))
                .await
                .is_ok()
        );
        feeder.fail(PgError::Closed).await;
        assert!(drain.try_next().is_ok());
        for _ in 0..2 {
            let nothing = drain.try_next().err();
            assert_eq!(nothing, Some(Nothing::Yet), "kept until it is waited for");
        }
        let told = drain.ready().await;
        assert!(matches!(told, Err(NoMore::Failed(PgError::Closed))));
        assert!(matches!(drain.try_next(), Err(Nothing::More)));
    }
}
