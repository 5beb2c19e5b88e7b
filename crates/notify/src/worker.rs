//! The task that posts what is queued, one event after the other, in their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Bytes;
use tokio::sync::mpsc;

use crate::event::Event;
use crate::limits::{ATTEMPTS, FIRST_PAUSE};
use crate::post::post;
use crate::webhook::Webhook;

/// Posts until the queue is closed and empty. `waiting` counts what is queued or under way.
pub(crate) async fn work(
    webhook: Webhook,
    mut queue: mpsc::Receiver<Event>,
    waiting: Arc<AtomicUsize>,
) {
    while let Some(event) = queue.recv().await {
        deliver(&webhook, &event).await;
        waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn deliver(webhook: &Webhook, event: &Event) {
    let body = match serde_json::to_vec(event) {
        Ok(body) => Bytes::from(body),
        Err(error) => {
            tracing::warn!(%error, "a notification cannot be written");
            return;
        }
    };
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=ATTEMPTS {
        let Err(error) = post(webhook, body.clone()).await else {
            return;
        };
        if attempt == ATTEMPTS || !error.may_retry() {
            let event = event.kind;
            tracing::warn!(%error, ?event, attempt, "a notification was dropped");
            return;
        }
        tracing::debug!(%error, attempt, "a notification is tried again");
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}
