//! The webhook against a receiver on this machine: one that takes everything, one that is
//! busy, one that refuses, one that hangs, and none.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use trunkline_migration::{Error, Notice, Observer, Phase};
use trunkline_notify::{Ended, Watched, Webhook};

const AMPLE: Duration = Duration::from_secs(30);

/// Sees nothing.
struct Blind;

impl Observer for Blind {
    fn notice(&self, _notice: Notice<'_>) {}
}

/// A request as it came.
struct Posted {
    head: String,
    body: Value,
}

/// Answers each request with the next status, the last one again and again.
async fn receiver(statuses: &'static [&'static str]) -> (String, mpsc::Receiver<Posted>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, posted) = mpsc::channel(1_000);
    tokio::spawn(async move {
        let last = statuses.last().expect("an answer");
        for status in statuses.iter().chain(std::iter::repeat(last)) {
            let Ok((mut stream, _)) = listener.accept().await else {
                return;
            };
            let request = read_request(&mut stream).await;
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
            stream.write_all(answer.as_bytes()).await.ok();
            if sender.send(request).await.is_err() {
                return;
            }
        }
    });
    (format!("http://127.0.0.1:{port}/hook?a=b"), posted)
}

async fn read_request(stream: &mut TcpStream) -> Posted {
    let mut read = Vec::new();
    loop {
        let mut chunk = [0_u8; 1_024];
        let count = stream.read(&mut chunk).await.expect("a request");
        read.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            return Posted {
                head: head.to_ascii_lowercase(),
                body,
            };
        }
        assert!(count > 0, "the request ended early: {text}");
    }
}

fn watched(url: &str) -> Watched<Blind> {
    let webhook = Webhook::new(url, Some("Bearer t0ken")).expect("a URL");
    Watched::new(Blind, "shop", Some(webhook))
}

async fn next(posted: &mut mpsc::Receiver<Posted>) -> Posted {
    let next = tokio::time::timeout(AMPLE, posted.recv()).await;
    next.expect("in time").expect("the receiver is there")
}

#[tokio::test]
async fn phases_warnings_and_the_end_arrive_in_order() {
    let (url, mut posted) = receiver(&["200 OK"]).await;
    let watched = watched(&url);
    watched.notice(Notice::Phase(Phase::Copying));
    watched.notice(Notice::Step("is not told"));
    watched.notice(Notice::Warning("the source keeps 30 GB of log for us"));
    watched.notice(Notice::Phase(Phase::Following));
    watched.end(Ended::Well(Some(Phase::Completed))).await;
    let first = next(&mut posted).await;
    assert!(
        first.head.starts_with("post /hook?a=b http/1.1"),
        "{}",
        first.head
    );
    for header in [
        "authorization: bearer t0ken",
        "content-type: application/json",
        "host: 127",
    ] {
        assert!(first.head.contains(header), "{}", first.head);
    }
    assert_eq!(first.body["schema_version"], 1);
    assert_eq!(first.body["migration"], "shop");
    assert_eq!(first.body["phase"], "copying");
    assert!(
        first.body["at"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
    let mut events = vec![first.body["event"].clone()];
    for _ in 0..3 {
        events.push(next(&mut posted).await.body["event"].clone());
    }
    assert_eq!(events, ["phase", "warning", "phase", "completed"]);
}

#[tokio::test]
async fn a_busy_receiver_is_asked_again_and_a_refusal_is_not() {
    let (url, mut posted) = receiver(&[
        "500 Internal Server Error",
        "503 Service Unavailable",
        "200 OK",
        "400 Bad Request",
        "200 OK",
    ])
    .await;
    let watched = watched(&url);
    watched.notice(Notice::Warning("first"));
    watched.notice(Notice::Warning("refused"));
    watched.notice(Notice::Warning("last"));
    let mut messages = Vec::new();
    for _ in 0..5 {
        messages.push(next(&mut posted).await.body["message"].clone());
    }
    assert_eq!(messages, ["first", "first", "first", "refused", "last"]);
    watched.end(Ended::Well(None)).await;
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_the_end_for_two_seconds_and_the_migration_not_at_all() {
    // Connections are taken by the system's queue; nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let watched = watched(&format!("http://127.0.0.1:{port}/"));
    let began = Instant::now();
    for _ in 0..10_000 {
        watched.notice(Notice::Warning(
            "the queue is full long before the last of these",
        ));
    }
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    let began = Instant::now();
    watched.end(Ended::Badly(&Error::Ended)).await;
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    drop(listener);
}

#[tokio::test]
async fn without_a_receiver_or_a_webhook_a_command_ends_all_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let refused = watched(&format!("http://127.0.0.1:{port}/"));
    refused.notice(Notice::Phase(Phase::Copying));
    let silent = Watched::new(Blind, "shop", None);
    silent.notice(Notice::Phase(Phase::Copying));
    let began = Instant::now();
    refused.end(Ended::Well(Some(Phase::Aborted))).await;
    silent.end(Ended::Well(Some(Phase::Aborted))).await;
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_receiver_that_comes_back_gets_what_waited() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let watched = watched(&format!("http://{address}/"));
    watched.notice(Notice::Warning("said while nobody listened"));
    let listener = TcpListener::bind(address).await.expect("the same port");
    let (mut stream, _) = tokio::time::timeout(AMPLE, listener.accept())
        .await
        .expect("in time")
        .expect("a connection");
    let request = read_request(&mut stream).await;
    assert_eq!(request.body["message"], "said while nobody listened");
    stream
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .await
        .expect("an answer");
    watched.end(Ended::Well(None)).await;
}
