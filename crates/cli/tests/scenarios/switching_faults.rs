//! Clients behind a pooler, and something is killed in each step of a cutover and of a
//! rollback: once the command or `run` was run again, one side takes writes, and nothing that
//! was confirmed is missing. A few steps by default; `TRUNKLINE_ROUNDS` goes through all.

use std::time::Duration;

use fastrand::Rng;
use trunkline_testkit::{any_major, skip_unless_available, skip_unless_installed};

use crate::scene::crowd::{Crowd, Nature};
use crate::scene::ordeal::CUTOVER_STEPS;
use crate::scene::pooled::Pooled;
use crate::scene::{Ran, Running, seed};

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Program,
    Pooler,
    Source,
    Target,
    /// Every connection of Trunkline's to a server.
    Connections,
    /// The network between Trunkline and the side that is to serve, for longer than the
    /// pause may be.
    Answers,
}

/// A switch, and the moment in it.
#[derive(Clone, Copy, Debug)]
struct Fault {
    step: &'static str,
    after: Duration,
    victim: Victim,
}

/// Longer than the pause, and than the journal may take to answer.
const SILENCE: Duration = Duration::from_secs(8);

/// Switches in a default run: a cutover and a rollback, twice.
const FEW: usize = 2;

/// Faults of this kind: every step as often as asked for, or a few.
fn faults(victim: Victim, rng: &mut Rng) -> Vec<Fault> {
    let given = std::env::var("TRUNKLINE_ROUNDS").ok();
    let rounds: Option<usize> = given.and_then(|text| text.parse().ok());
    let mut steps = Vec::new();
    for _ in 0..rounds.unwrap_or(1) {
        let mut all = CUTOVER_STEPS;
        rng.shuffle(&mut all);
        steps.extend(all);
    }
    if rounds.is_none() {
        steps.truncate(FEW);
    }
    let at = |step| Fault {
        step,
        after: Duration::from_micros(rng.u64(0..80_000)),
        victim,
    };
    steps.into_iter().map(at).collect()
}

impl Pooled {
    /// Begins a switch and strikes; what the command said of it.
    async fn strike(&mut self, command: &str, fault: Fault) -> Ran {
        let mut running = self.scene.start(&[command, "--json", "--max-pause", "4s"]);
        if !running.says(fault.step).await {
            return running.ended().await;
        }
        tokio::time::sleep(fault.after).await;
        match fault.victim {
            Victim::Program => return running.kill().await,
            Victim::Pooler => {
                self.bouncer.kill();
                self.bouncer.start_again();
            }
            Victim::Source => {
                self.scene.source.kill();
                self.scene.source.start_again();
            }
            Victim::Target => {
                self.scene.target.kill();
                self.scene.target.start_again();
            }
            Victim::Connections => {
                self.source_door.cut();
                self.target_door.cut();
            }
            Victim::Answers => {
                let door = match command {
                    "cutover" => &self.target_door,
                    _ => &self.source_door,
                };
                door.freeze();
                tokio::time::sleep(SILENCE).await;
                door.thaw();
            }
        }
        running.ended().await
    }

    /// A switch that is struck once is done in the end: by itself, by a `run` that follows, or
    /// by whoever comes next.
    async fn survives(&mut self, crowd: &Crowd, followed: bool, fault: Fault, rng: &mut Rng) {
        let goal = match self.serves().await.as_str() {
            "source" => "target",
            _ => "source",
        };
        let command = if goal == "target" {
            "cutover"
        } else {
            "rollback"
        };
        eprintln!("{command}: {fault:?}, followed: {followed}");
        let struck = self.strike(command, fault).await;
        // A `run` that follows does it unasked.
        if !followed && rng.bool() {
            self.scene.done(&["run", "--until", "following"]).await;
        } else if !followed {
            self.again(command, goal).await;
        }
        self.are_served(crowd).await;
        self.assert_one_side_takes_writes().await;
        if self.serves().await != goal {
            assert_ne!(struck.code, Some(0), "it succeeded and did not switch");
            self.again(command, goal).await;
            self.are_served(crowd).await;
        }
        assert_eq!(self.assert_one_side_takes_writes().await, goal);
    }

    /// The same command again comes to its end, or finds that nothing is left to do.
    async fn again(&self, command: &str, goal: &str) {
        let ran = self.scene.trunkline(&[command, "--json"]).await;
        if ran.code == Some(9) {
            assert_eq!(self.serves().await, goal, "{ran}");
        } else {
            ran.expect_code(0);
        }
    }
}

async fn survives_each(victim: Victim) {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let faults = faults(victim, &mut rng);
    let mut pooled = Pooled::new("").await;
    let crowd = pooled.crowd(Nature::Cut);
    pooled.scene.done(&["run", "--until", "verified"]).await;
    let followed = rng.bool();
    let mut following: Option<Running> = followed.then(|| pooled.scene.start(&["run"]));
    for fault in faults {
        // Each step in both directions, at another moment.
        for _ in 0..2 {
            let after = fault.after.mul_f64(0.5 + rng.f64());
            let fault = Fault { after, ..fault };
            pooled.survives(&crowd, followed, fault, &mut rng).await;
        }
    }
    let journal = pooled.assert_complete(crowd).await;
    eprintln!(
        "{} transactions confirmed, {} errors",
        journal.committed.len(),
        journal.errors.len()
    );
    if let Some(following) = following.take() {
        following.ended().await.expect_code(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_whose_process_is_killed_is_done_or_undone_by_whoever_comes_next() {
    survives_each(Victim::Program).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_whose_pooler_is_killed_is_done_or_undone() {
    survives_each(Victim::Pooler).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_whose_source_is_killed_is_done_or_undone() {
    survives_each(Victim::Source).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_whose_target_is_killed_is_done_or_undone() {
    survives_each(Victim::Target).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_whose_connections_are_cut_is_done_or_undone() {
    survives_each(Victim::Connections).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_that_gets_no_answers_for_a_while_is_done_or_undone() {
    survives_each(Victim::Answers).await;
}
