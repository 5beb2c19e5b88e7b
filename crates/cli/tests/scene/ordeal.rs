//! A migration that is struck again and again, by a seeded schedule, and must come to the
//! same end. The tests and the torture run share it.

use std::time::Duration;

use fastrand::Rng;
use trunkline_testkit::world::Writers;
use trunkline_testkit::{Cluster, FaultyProxy};

use super::program::Running;
use super::{Clients, DATABASE, Mutations, Pace, Scene};

/// What happens to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// The program is killed, and started again.
    KillProgram,
    /// The program is asked to stop, and started again.
    StopProgram,
    /// The source's server crashes and comes back.
    KillSource,
    /// The target's server crashes and comes back.
    KillTarget,
    /// The source's server crashes and comes back, and takes back every answer since the one
    /// before that waited for its disk.
    SourceForgets,
    /// The same for the target.
    TargetForgets,
    /// Every connection to the source is reset when this many further bytes have come.
    CutSource(u64),
    /// The same for the target.
    CutTarget(u64),
}

/// A blow and its moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    /// The program has said this (at once, if it did before).
    step: &'static str,
    /// That much later.
    after: Duration,
    blow: Blow,
}

/// Steps of `run` and of `cutover`, as they are said.
pub(crate) const RUN_STEPS: [&str; 9] = [
    "preflight",
    "publication",
    "replication slot",
    "structure",
    "copying rows",
    "statistics",
    "catching up",
    "foreign keys",
    "comparing both sides",
];
/// A rollback's are the same.
pub(crate) const CUTOVER_STEPS: [&str; 9] = [
    "comparing both sides",
    "preparing the way back",
    "preparing the switch",
    "holding clients",
    "fencing the side that serves",
    "draining to the barrier",
    "comparing after the last write",
    "setting sequences",
    "moving clients",
];

impl Strike {
    /// At a step, up to a twentieth of a second after it.
    pub(crate) fn at(step: &'static str, blow: Blow, rng: &mut Rng) -> Self {
        let after = Duration::from_micros(rng.u64(0..50_000));
        Strike { step, after, blow }
    }

    /// At a step, up to half a second after it.
    pub(crate) fn after(step: &'static str, blow: Blow, rng: &mut Rng) -> Self {
        let after = Duration::from_micros(rng.u64(0..500_000));
        Strike { step, after, blow }
    }

    /// Waits for the moment, and kills a program that has not ended by then.
    pub(crate) async fn kill(&self, mut running: Running) {
        if running.says(self.step).await {
            tokio::time::sleep(self.after).await;
            running.kill().await;
        } else {
            running.ended().await;
        }
    }

    /// Anything, at any of these steps or up to half a second after it.
    fn any(steps: &[&'static str], rng: &mut Rng) -> Self {
        let blow = match rng.u32(0..7) {
            0 | 1 => Blow::KillProgram,
            2 => Blow::StopProgram,
            3 => Blow::KillSource,
            4 => Blow::KillTarget,
            5 => Blow::CutSource(rng.u64(0..400_000)),
            _ => Blow::CutTarget(rng.u64(0..40_000)),
        };
        Strike::after(steps[rng.usize(0..steps.len())], blow, rng)
    }
}

/// A migration with writers, reached through proxies.
pub(crate) struct Ordeal {
    scene: Scene,
    source: FaultyProxy,
    target: FaultyProxy,
    writers: Clients,
    mutations: Mutations,
    /// Clients that were moved.
    on_target: Option<Writers>,
    /// Bytes of log that crashes took back.
    taken_back: u64,
    /// The source crashed after the run was done, perhaps after its sequences were read.
    crashed_late: bool,
}

impl Ordeal {
    /// A shop and the matrix, with clients that write.
    pub(crate) async fn new(source: u32, target: u32, seed: u64) -> Self {
        Self::planned(source, target, seed, "", Pace::Usual).await
    }

    /// The same with more in its plan, at another pace.
    pub(crate) async fn planned(
        source: u32,
        target: u32,
        seed: u64,
        plan: &str,
        pace: Pace,
    ) -> Self {
        // Room for what a crash may take back.
        let start = |major| {
            Cluster::builder(major)
                .setting("wal_buffers", "16MB")
                .start()
        };
        let (source, target) = (start(source), start(target));
        let scene = Scene::of(source, target, DATABASE).await;
        let scene = scene.with_shop(1).await;
        let mut scene = scene.with_matrix().await;
        let source = FaultyProxy::start(scene.source.port()).await;
        let target = FaultyProxy::start(scene.target.port()).await;
        scene.reach("TRUNKLINE_SOURCE", &source.uri(DATABASE));
        scene.reach("TRUNKLINE_TARGET", &target.uri(DATABASE));
        scene.plan(plan);
        let writers = scene.paced_clients(seed, pace);
        let mutations = Mutations::paced(scene.matrix(), scene.source.uri(DATABASE), pace);
        Ordeal {
            scene,
            source,
            target,
            writers,
            mutations,
            on_target: None,
            taken_back: 0,
            crashed_late: false,
        }
    }

    /// Asserts that crashes took answers back; else what came of them shows nothing.
    pub(crate) fn assert_taken_back(&self) {
        assert!(self.taken_back > 0, "no crash took anything back");
    }

    /// Runs until both sides are equal, through all strikes.
    pub(crate) async fn run_through(&mut self, strikes: &[Strike]) {
        let arguments = ["run", "--until", "verified"];
        let mut running = self.scene.start(&arguments);
        for strike in strikes {
            running = self.strike(running, strike, &arguments).await;
        }
        running.ended().await.expect_code(0);
    }

    /// Cuts over, through all strikes, in as many attempts as it takes; until then the
    /// source can be written to after each failure.
    pub(crate) async fn cut_over_through(&mut self, strikes: &[Strike]) {
        let arguments = ["cutover", "--json"];
        self.crashed_late = strikes.iter().any(|strike| strike.blow == Blow::KillSource);
        let mut running = self.scene.start(&arguments);
        for strike in strikes {
            running = self.strike(running, strike, &arguments).await;
        }
        let mut ran = running.ended().await;
        self.disarm();
        for _ in 0..ATTEMPTS {
            if self.is_switched().await {
                return;
            }
            assert_ne!(
                ran.code,
                Some(0),
                "a cutover that succeeds has switched: {ran}"
            );
            self.scene.done(&["run", "--until", "verified"]).await;
            self.assert_source_takes_writes().await;
            ran = self.scene.trunkline(&arguments).await;
        }
        assert!(self.is_switched().await, "{ran}");
    }

    /// Strikes a cutover once, or kills it; whether it switched nevertheless. If not, the next
    /// `run` gives the source back.
    pub(crate) async fn survives_in_cutover(&mut self, strike: &Strike) -> bool {
        self.struck_once(&["cutover", "--json"], strike).await;
        if self.is_switched().await {
            return true;
        }
        self.scene.done(&["run", "--until", "verified"]).await;
        self.assert_source_takes_writes().await;
        false
    }

    /// A command that is struck, and not begun again.
    async fn struck_once(&mut self, arguments: &[&str], strike: &Strike) {
        let running = self.scene.start(arguments);
        if strike.blow == Blow::KillProgram {
            return strike.kill(running).await;
        }
        let running = self.strike(running, strike, arguments).await;
        running.ended().await;
    }

    async fn is_switched(&self) -> bool {
        let status = self.scene.done(&["status", "--json"]).await.json();
        status["phase"] == "switched"
    }

    async fn assert_source_takes_writes(&self) {
        let client = self.scene.on_source().await;
        let written = client.batch_execute("INSERT INTO shop.journal (entry) VALUES ('still')");
        written.await.expect("the source was given back");
    }

    /// Lets clients write on the target, where the cutover has put them.
    pub(crate) fn follow_the_clients(&mut self) {
        let on_target = Writers::to(&self.scene.target.uri(DATABASE));
        let clients = on_target
            .tasks(2)
            .pause(Duration::from_millis(30))
            .reconnecting()
            .start();
        self.on_target = Some(clients);
    }

    /// Moves the clients back, through all strikes, in as many attempts as it takes; until
    /// then the target can be written to after each failure.
    async fn roll_back_through(&mut self, strikes: &[Strike]) {
        let arguments = ["rollback", "--json"];
        let mut running = self.scene.start(&arguments);
        for strike in strikes {
            running = self.strike(running, strike, &arguments).await;
        }
        running.ended().await;
        self.disarm();
        for _ in 0..=ATTEMPTS {
            self.scene.done(&["run", "--until", "following"]).await;
            if self.one_side_takes_writes().await == "source" {
                return;
            }
            self.scene.trunkline(&arguments).await;
        }
        panic!("the rollback does not come to its end");
    }

    /// The side that serves, which takes writes where the other one takes none.
    async fn one_side_takes_writes(&self) -> String {
        let status = self.scene.done(&["status", "--json"]).await.json();
        let serves = status["serves"].as_str().unwrap_or_default().to_owned();
        let (open, closed) = match serves.as_str() {
            "source" => (self.scene.on_source().await, self.scene.on_target().await),
            _ => (self.scene.on_target().await, self.scene.on_source().await),
        };
        let write = "INSERT INTO shop.journal (entry) VALUES ('still')";
        let written = open.batch_execute(write).await;
        written.expect("the side that serves takes writes");
        let refused = closed.batch_execute(write).await;
        refused.expect_err("the other side takes none");
        serves
    }

    /// Strikes a rollback once; whether clients are on the source nevertheless. If not, the
    /// next `run` gives the target back.
    pub(crate) async fn survives_in_rollback(&mut self, strike: &Strike) -> bool {
        self.struck_once(&["rollback", "--json"], strike).await;
        self.scene.done(&["run", "--until", "following"]).await;
        self.one_side_takes_writes().await == "source"
    }

    /// Ends the clients of the target, and asserts that nothing of theirs is missing on the
    /// source, where a further cutover is possible.
    pub(crate) async fn assert_moved_back(mut self) {
        let outcome = match self.on_target.take() {
            Some(writers) => writers.stop().await,
            None => panic!("clients were on the target"),
        };
        assert!(outcome.committed > 0, "{outcome:?}");
        self.mutations.stop().await;
        self.writers.stop().await;
        self.scene.done(&["run", "--until", "verified"]).await;
        self.scene.assert_same_rows().await;
        self.scene.done(&["cutover"]).await;
        self.scene.assert_same().await;
        self.scene.done(&["complete"]).await;
        self.scene.assert_nothing_of_ours().await;
    }

    /// Ends the writers, and asserts that everything is on the target and the source is shut.
    pub(crate) async fn assert_moved(self) {
        self.mutations.stop().await;
        let outcome = self.writers.stop().await;
        assert!(outcome.committed > 0, "{outcome:?}");
        let client = self.scene.on_source().await;
        let written = client.batch_execute("INSERT INTO shop.journal (entry) VALUES ('late')");
        assert!(
            written.await.is_err(),
            "the source takes writes after the switch"
        );
        drop(client);
        self.scene.assert_same_rows().await;
        if !self.crashed_late {
            // A sequence that recovers from a crash leaves out up to 32 values.
            self.scene.assert_same_sequences().await;
        }
        self.scene.done(&["complete"]).await;
        self.scene.assert_nothing_of_ours().await;
    }

    /// Calls off cuts that were ordered for bytes that have not come: they are not meant for
    /// the commands that only look what became of it.
    fn disarm(&self) {
        self.source.never_cut();
        self.target.never_cut();
    }

    /// Waits for the moment, strikes, and gives the program that runs from then on.
    async fn strike(
        &mut self,
        mut running: Running,
        strike: &Strike,
        arguments: &[&str],
    ) -> Running {
        eprintln!("{strike:?}");
        match strike.blow {
            Blow::SourceForgets => self.scene.source.hold_log_writer(),
            Blow::TargetForgets => self.scene.target.hold_log_writer(),
            _ => {}
        }
        if !running.says(strike.step).await {
            // It ended before, one way or another: the next one takes the rest.
            return running;
        }
        tokio::time::sleep(strike.after).await;
        match strike.blow {
            Blow::KillProgram => {
                running.kill().await;
                return self.scene.start(arguments);
            }
            Blow::StopProgram => {
                if !running.is_over() {
                    running.signal("INT").await;
                }
                let ran = running.ended().await;
                // 4 and 5: an earlier strike cut its connections before anyone was held.
                assert!(matches!(ran.code, Some(0 | 4 | 5 | 7 | 9 | 130)), "{ran}");
                return self.scene.start(arguments);
            }
            Blow::KillSource | Blow::SourceForgets => {
                self.taken_back += crash(&mut self.scene.source);
            }
            Blow::KillTarget | Blow::TargetForgets => {
                self.taken_back += crash(&mut self.scene.target);
            }
            Blow::CutSource(bytes) => self.source.cut_after(bytes),
            Blow::CutTarget(bytes) => self.target.cut_after(bytes),
        }
        running
    }
}

/// Kills a server and starts it again; gives the bytes of log that were not on its disk.
fn crash(server: &mut Cluster) -> u64 {
    let unwritten =
        "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn())";
    let taken_back = server.psql("postgres", unwritten);
    server.kill();
    server.start_again();
    eprintln!("taken back: {} bytes of log", taken_back.trim());
    taken_back.trim().parse().expect("a number of bytes")
}

/// Cutovers without further blows that may fail before one must succeed: what was struck
/// last may still be coming back in the first.
const ATTEMPTS: u32 = 3;

/// From so many strikes on a migration goes there, back, and there again.
const THERE_AND_BACK: usize = 10;

/// A whole migration under this many strikes, all chosen by the seed.
pub(crate) async fn survives(source: u32, target: u32, seed: u64, strikes: usize) {
    let mut rng = Rng::with_seed(seed);
    let draw = |steps: &[&'static str], count: usize, rng: &mut Rng| -> Vec<Strike> {
        (0..count).map(|_| Strike::any(steps, rng)).collect()
    };
    let before = draw(&RUN_STEPS, strikes.div_ceil(2), &mut rng);
    let during = draw(&CUTOVER_STEPS, strikes / 2, &mut rng);
    let back = draw(&CUTOVER_STEPS, strikes / 2, &mut rng);
    eprintln!("seed {seed}: {before:#?} then {during:#?}");
    let mut ordeal = Ordeal::new(source, target, seed).await;
    ordeal.run_through(&before).await;
    ordeal.cut_over_through(&during).await;
    if strikes < THERE_AND_BACK {
        return ordeal.assert_moved().await;
    }
    eprintln!("and back through {back:#?}");
    ordeal.follow_the_clients();
    ordeal.roll_back_through(&back).await;
    ordeal.assert_moved_back().await;
}
