//! Who else depends on the switch: smoke tests of the operator, and consumers of changes that
//! are handed over with their clients.

use std::collections::BTreeSet;

use serde_json::Value;
use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::Scene;
use crate::scene::notes::notes;

async fn verified(plan: &str) -> Scene {
    let mut scene = notes().await;
    scene.plan(plan);
    if plan == FEED {
        scene.source_says(&format!(
            "SELECT 1 FROM pg_create_logical_replication_slot('{SLOT}', 'test_decoding')"
        ));
    }
    scene.done(&["run", "--until", "verified"]).await;
    scene
}

fn smoke(when: &str) -> String {
    format!(
        "[[cutover.smoke]]\nname = \"the notes are many\"\nwhen = \"{when}\"\n\
         sql = \"SELECT count(*) FROM public.notes\"\nexpect = \"7\"\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smoke_test_that_fails_before_the_switch_gives_the_clients_their_side_back() {
    skip_unless_available!(any_major());
    let mut scene = verified("").await;
    scene.done(&["cutover"]).await;
    scene.plan(&smoke("before switch"));
    let write = "INSERT INTO public.notes VALUES (5000, 'served')";
    let ran = scene
        .trunkline(&["rollback", "--json"])
        .await
        .expect_code(7);
    let report = ran.json();
    let reason = report["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("the notes are many"), "{report:#}");
    scene.target_says(write);

    let scene = verified(&smoke("before switch")).await;
    let ran = scene.trunkline(&["cutover", "--json"]).await.expect_code(7);
    let report = ran.json();
    assert_eq!(
        report["smoke"][0]["name"], "the notes are many",
        "{report:#}"
    );
    let ran = ran.expect_said(&["the notes are many", "200", "7"]);
    assert_eq!(report["serves"], "source", "{ran}");
    scene.source_says(write);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smoke_test_that_fails_after_the_release_is_reported_and_changes_nothing() {
    skip_unless_available!(any_major());
    let scene = verified(&smoke("after release")).await;
    for (command, outcome) in [("cutover", "switched"), ("rollback", "rolled_back")] {
        let ran = scene.done(&[command, "--json"]).await;
        let report = ran.json();
        assert_eq!(report["outcome"], outcome, "{report:#}");
        assert_eq!(report["smoke"][0]["passed"], false, "{report:#}");
        ran.expect_said(&["the notes are many"]);
    }
}

const SLOT: &str = "feed";
const FEED: &str = "[downstream]\nslots = [\"feed\"]\n";

/// A consumer that reads inserts of notes from its slot, and remembers each.
#[derive(Default)]
struct Consumer {
    seen: Vec<i64>,
}

impl Consumer {
    fn take(&mut self, changes: &str) {
        let inserts = changes
            .lines()
            .filter(|line| line.starts_with("table public.notes: INSERT:"));
        self.seen.extend(inserts.map(|line| {
            let rest = line.split_once("id[bigint]:").expect("a key").1;
            let number = rest.split_whitespace().next().expect("a value");
            number.parse::<i64>().expect("a number")
        }));
    }

    fn read(upto: &str) -> String {
        format!("SELECT data FROM pg_logical_slot_get_changes('{SLOT}', {upto}, NULL)")
    }

    /// Everything up to a position, on the side that clients left.
    fn finish(scene: &Scene, side: &str, barrier: &str) -> String {
        let sql = Self::read(&format!("'{barrier}'"));
        match side {
            "source" => scene.source_says(&sql),
            _ => scene.target_says(&sql),
        }
    }

    fn assert_saw_each_once(&self, last: i64) {
        let once: BTreeSet<i64> = self.seen.iter().copied().collect();
        assert_eq!(once.len(), self.seen.len(), "twice: {:?}", self.seen);
        let missing: Vec<i64> = (1001..=last).filter(|n| !once.contains(n)).collect();
        assert!(missing.is_empty(), "never seen: {missing:?}");
    }
}

fn handed_over(report: &Value) -> &Value {
    let handed = &report["downstream"][0];
    assert_eq!(handed["slot"], SLOT, "{report:#}");
    handed
}

fn insert(numbers: std::ops::RangeInclusive<i64>) -> String {
    let (from, to) = (numbers.start(), numbers.end());
    format!("INSERT INTO public.notes SELECT n, 'x' FROM generate_series({from}, {to}) AS n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_goes_from_slot_to_slot_sees_every_change_once() {
    skip_unless_available!(any_major());
    let scene = verified(FEED).await;
    let mut consumer = Consumer::default();
    scene.source_says(&insert(1001..=1010));
    // A rehearsal moves nobody.
    scene.done(&["cutover", "--rehearse"]).await;
    scene.source_says(&insert(1011..=1020));
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(handed_over(&report)["caught_up"], false, "{report:#}");
    let barrier = handed_over(&report)["barrier_lsn"]
        .as_str()
        .expect("one")
        .to_owned();

    scene.target_says(&insert(1021..=1030));
    let following = scene.start(&["run"]);
    trunkline_testkit::until(crate::scene::PATIENCE, async || {
        scene.source_says("SELECT max(id) FROM public.notes").trim() == "1030"
    })
    .await;
    consumer.take(&Consumer::finish(&scene, "source", &barrier));
    consumer.assert_saw_each_once(1020);
    consumer.take(&scene.target_says(&Consumer::read("NULL")));
    consumer.assert_saw_each_once(1030);

    scene.target_says(&insert(1031..=1040));
    scene.done(&["rollback", "--rehearse"]).await;
    scene.target_says(&insert(1041..=1050));
    let report = scene.done(&["rollback", "--json"]).await.json();
    let barrier = handed_over(&report)["barrier_lsn"]
        .as_str()
        .expect("one")
        .to_owned();
    scene.source_says(&insert(1051..=1060));
    consumer.take(&Consumer::finish(&scene, "target", &barrier));
    consumer.assert_saw_each_once(1050);
    consumer.take(&scene.source_says(&Consumer::read("NULL")));
    consumer.assert_saw_each_once(1060);
    scene.done(&["cutover"]).await;
    scene.done(&["complete"]).await;
    following.ended().await.expect_code(0);
}

/// The slot that it left would be moved over what it has not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_does_not_skip_what_a_consumer_has_not_read_of_the_slot_it_left() {
    skip_unless_available!(any_major());
    let scene = verified(FEED).await;
    let mut consumer = Consumer::default();
    scene.source_says(&insert(1001..=1010));
    let report = scene.done(&["cutover", "--json"]).await.json();
    let barrier = handed_over(&report)["barrier_lsn"]
        .as_str()
        .expect("one")
        .to_owned();
    for command in [&["rollback", "--rehearse"][..], &["rollback"]] {
        let ran = scene.trunkline(command).await.expect_code(9);
        ran.expect_said(&[SLOT, &barrier, "pg_replication_slot_advance"]);
    }
    consumer.take(&Consumer::finish(&scene, "source", &barrier));
    consumer.assert_saw_each_once(1010);
    scene.done(&["rollback"]).await;
}
