//! The observer that tells the webhook too, and passes everything on to the present one.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;
use trunkline_migration::{Notice, Observer};

use crate::event::{Ended, Event, Teller};
use crate::limits::{FLUSH_WITHIN, QUEUE_EVENTS};
use crate::webhook::Webhook;
use crate::worker::work;

/// An observer that tells a webhook what another one shows.
#[derive(Debug)]
pub struct Watched<O> {
    inner: O,
    outbox: Option<Outbox>,
}

#[derive(Debug)]
struct Outbox {
    teller: Mutex<Teller>,
    queue: mpsc::Sender<Event>,
    waiting: Arc<AtomicUsize>,
    full: AtomicBool,
    worker: JoinHandle<()>,
}

impl<O> Watched<O> {
    /// Watches one migration. Without a webhook everything is only passed on. Must be called
    /// in a runtime, whose task sends the events.
    pub fn new(inner: O, migration: &str, webhook: Option<Webhook>) -> Self {
        let outbox = webhook.map(|webhook| {
            let (queue, queued) = mpsc::channel(QUEUE_EVENTS);
            let waiting = Arc::new(AtomicUsize::new(0));
            Outbox {
                teller: Mutex::new(Teller::new(migration)),
                queue,
                full: AtomicBool::new(false),
                worker: tokio::spawn(work(webhook, queued, waiting.clone())),
                waiting,
            }
        });
        Watched { inner, outbox }
    }

    /// The observer that is wrapped.
    pub fn inner(&self) -> &O {
        &self.inner
    }

    /// Tells how the command ended, and waits for what is queued, two seconds at most.
    pub async fn end(self, ended: Ended<'_>) {
        if let Some(outbox) = self.outbox {
            outbox.tell(|teller| teller.ended(&ended));
            outbox.flush().await;
        }
    }
}

impl Outbox {
    fn tell(&self, tell: impl FnOnce(&mut Teller) -> Option<Event>) {
        let event = {
            let mut teller = self.teller.lock().unwrap_or_else(PoisonError::into_inner);
            tell(&mut teller)
        };
        let Some(event) = event else { return };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(event) {
            Ok(()) => self.full.store(false, Ordering::Relaxed),
            Err(TrySendError::Full(event) | TrySendError::Closed(event)) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                // Once for each time that the queue fills up.
                if !self.full.swap(true, Ordering::Relaxed) {
                    let event = event.kind;
                    tracing::warn!(
                        ?event,
                        "notifications are dropped: the receiver is too slow"
                    );
                }
            }
        }
    }

    async fn flush(self) {
        let Outbox {
            queue,
            waiting,
            mut worker,
            ..
        } = self;
        drop(queue);
        if tokio::time::timeout(FLUSH_WITHIN, &mut worker)
            .await
            .is_err()
        {
            worker.abort();
            let count = waiting.load(Ordering::Relaxed);
            tracing::warn!(count, "notifications were not sent in time");
        }
    }
}

impl<O: Observer> Observer for Watched<O> {
    fn notice(&self, notice: Notice<'_>) {
        if let Some(outbox) = &self.outbox {
            outbox.tell(|teller| teller.notice(&notice, Instant::now()));
        }
        self.inner.notice(notice);
    }
}
