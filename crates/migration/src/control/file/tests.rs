//! The journal as a file: who holds it, what a crash leaves, and how it moves to a target.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use trunkline_postgres::Conninfo;
use trunkline_testkit::Cluster;

use super::{JOURNAL, peek};
use crate::control::{Claim, Control, peek as peek_target};
use crate::error::Error;
use crate::journal::{Entry, Object};
use crate::phase::{Event, Phase};

/// Long enough for a machine that does other things, too.
const PATIENT: Claim = Claim::HandedOver(Duration::from_mins(1));

fn nowhere() -> Conninfo {
    Conninfo::resolve("postgres://nobody@127.0.0.1:1/none").expect("it can be read")
}

async fn open(dir: &Path, target: &Conninfo, claim: Claim, begin: bool) -> Option<Control> {
    let opened = Control::open_file(dir, target, "move", claim, begin).await;
    opened.expect("the journal can be opened")
}

async fn begun(dir: &TempDir) -> Control {
    let begun = open(dir.path(), &nowhere(), Claim::Now, true).await;
    begun.expect("it may be begun")
}

fn making(name: &str) -> Entry {
    Entry::Making(Object::Slot {
        side: trunkline_changes::Side::Source,
        name: name.to_owned(),
    })
}

#[tokio::test]
async fn what_was_recorded_is_found_by_the_next_command() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut first = begun(&dir).await;
    first
        .moved(Event::CheckPassed)
        .await
        .expect("it is written");
    first.record(making("s")).await.expect("it is written");
    let (identity, state) = (first.identity().clone(), first.state().clone());
    drop(first);
    let second = open(dir.path(), &nowhere(), Claim::Now, false).await;
    let second = second.expect("it is there");
    assert_eq!((second.identity(), second.state()), (&identity, &state));
}

#[tokio::test]
async fn a_second_command_is_refused_at_once_and_a_look_sees_who_holds_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let held = begun(&dir).await;
    let refused = Control::open_file(dir.path(), &nowhere(), "move", Claim::Now, true).await;
    assert!(matches!(refused, Err(Error::Held { .. })));
    let seen = |dir: &TempDir| {
        peek(dir.path())
            .expect("it can be read")
            .expect("it is there")
    };
    assert!(seen(&dir).held);
    drop(held);
    assert!(!seen(&dir).held);
}

#[tokio::test]
async fn an_entry_that_a_crash_cut_off_was_never_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut first = begun(&dir).await;
    first
        .moved(Event::CheckPassed)
        .await
        .expect("it is written");
    drop(first);
    let path = dir.path().join(JOURNAL);
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .expect("the file is there");
    file.write_all(br#"{"entry":{"seq":1,"entry":{"mov"#)
        .expect("it is written");
    let second = open(dir.path(), &nowhere(), Claim::Now, false).await;
    let mut second = second.expect("it is there");
    assert_eq!(second.state().phase, Phase::Checked);
    second.record(making("s")).await.expect("it is written");
    drop(second);
    let third = open(dir.path(), &nowhere(), Claim::Now, false).await;
    assert_eq!(third.expect("it is there").state().receipts.len(), 1);
}

#[tokio::test]
async fn a_journal_with_a_line_missing_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut first = begun(&dir).await;
    first
        .moved(Event::CheckPassed)
        .await
        .expect("it is written");
    first.record(making("s")).await.expect("it is written");
    drop(first);
    let path = dir.path().join(JOURNAL);
    let text = std::fs::read_to_string(&path).expect("the file is there");
    let kept: Vec<&str> = text
        .lines()
        .enumerate()
        .filter(|(at, _)| *at != 1)
        .map(|(_, l)| l)
        .collect();
    std::fs::write(&path, kept.join("\n") + "\n").expect("it is written");
    let refused = Control::open_file(dir.path(), &nowhere(), "move", Claim::Now, false).await;
    assert!(matches!(refused, Err(Error::JournalFile { .. })));
}

#[tokio::test]
async fn a_command_that_waits_gets_the_migration_and_gives_it_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut run = begun(&dir).await;
    assert!(!run.is_wanted().await.expect("it can be asked"));
    let path = dir.path().to_owned();
    let waiter = tokio::spawn(async move {
        let mut waiter = open(&path, &nowhere(), PATIENT, false)
            .await
            .expect("it is there");
        waiter
            .moved(Event::CheckPassed)
            .await
            .expect("it is written");
    });
    while !run.is_wanted().await.expect("it can be asked") {
        tokio::task::yield_now().await;
    }
    run.hand_over(&nowhere()).await.expect("it comes back");
    waiter.await.expect("it had its turn");
    assert_eq!(run.state().phase, Phase::Checked);
}

#[tokio::test]
async fn whoever_waits_for_a_migration_that_ends_is_told_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut run = begun(&dir).await;
    let path = dir.path().to_owned();
    let ender = tokio::spawn(async move {
        let ender = open(&path, &nowhere(), PATIENT, false)
            .await
            .expect("it is there");
        ender.erase().await.expect("it is removed");
    });
    while !run.is_wanted().await.expect("it can be asked") {
        tokio::task::yield_now().await;
    }
    let ended = run.hand_over(&nowhere()).await;
    ender.await.expect("it had its turn");
    assert!(matches!(ended, Err(Error::Ended)));
    assert!(peek(dir.path()).expect("it can be asked").is_none());
}

#[tokio::test]
async fn a_journal_moves_to_the_target_whole_and_once() {
    let (dir, target) = (tempfile::tempdir().expect("a folder"), Cluster::start_any());
    let conninfo = Conninfo::resolve(&target.uri("postgres")).expect("it can be read");
    let begun = open(dir.path(), &conninfo, Claim::Now, true).await;
    let mut control = begun.expect("it may be begun");
    control
        .moved(Event::CheckPassed)
        .await
        .expect("it is written");
    control.record(making("s")).await.expect("it is written");
    let path = dir.path().join(JOURNAL);
    let before = std::fs::read(&path).expect("the file is there");
    control.move_in().await.expect("it moves");
    assert!(!control.is_in_file());
    drop(control);
    // As if a crash had come between the commit and the file's last line.
    std::fs::write(&path, before).expect("it is written");
    let again = open(dir.path(), &conninfo, PATIENT, false).await;
    let mut again = again.expect("the file says nothing else");
    again.move_in().await.expect("it moves");
    again
        .record(Entry::DownstreamDropped)
        .await
        .expect("it is written");
    let (identity, state) = (again.identity().clone(), again.state().clone());
    drop(again);
    assert!(
        open(dir.path(), &conninfo, Claim::Now, false)
            .await
            .is_none()
    );
    let mut session = trunkline_postgres::Session::connect(&conninfo, "test")
        .await
        .expect("the server answers");
    let there = peek_target(&mut session, "move")
        .await
        .expect("it can be read");
    assert_eq!(there, Some((identity, state)));
}
