//! A switch that cannot end in time is given up in time: exit 7 within `max_pause` and two
//! seconds, no client sees an error, and the side that served before is as it was.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use trunkline_testkit::contents::catalog;
use trunkline_testkit::{FaultyProxy, any_major, skip_unless_available, skip_unless_installed};
use trunkline_testkit::{connect, until};

use crate::scene::crowd::{Crowd, Nature};
use crate::scene::pooled::Pooled;
use crate::scene::{DATABASE, PATIENCE, Ran, Running, Scene, assert_same_catalog};

const MAX_PAUSE: Duration = Duration::from_secs(5);
/// What giving back may take on top.
const GRACE: Duration = Duration::from_secs(2);

/// A catalog's lines about what is not of Trunkline.
fn not_ours(catalog: &str) -> String {
    let lines = catalog.lines().filter(|line| !line.contains("trunkline"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The switch that is to be given up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    Cutover,
    Rollback,
}

impl Switch {
    fn command(self) -> &'static str {
        match self {
            Switch::Cutover => "cutover",
            Switch::Rollback => "rollback",
        }
    }

    /// A client of the side that serves.
    async fn serving(self, scene: &Scene) -> Client {
        match self {
            Switch::Cutover => scene.on_source().await,
            Switch::Rollback => scene.on_target().await,
        }
    }

    /// A client of the side that is to serve.
    async fn other(self, scene: &Scene) -> Client {
        match self {
            Switch::Cutover => scene.on_target().await,
            Switch::Rollback => scene.on_source().await,
        }
    }

    fn other_door(self, pooled: &Pooled) -> &FaultyProxy {
        match self {
            Switch::Cutover => &pooled.target_door,
            Switch::Rollback => &pooled.source_door,
        }
    }
}

/// A migration that stands before the switch, with clients.
struct Before {
    pooled: Pooled,
    crowd: Crowd,
    switch: Switch,
    /// The catalog of the side that serves.
    catalog: String,
}

impl Before {
    async fn new(switch: Switch, pool_mode: &str) -> Self {
        let pooled = Pooled::by(pool_mode, "").await;
        pooled.scene.done(&["run", "--until", "verified"]).await;
        if switch == Switch::Rollback {
            pooled.scene.done(&["cutover"]).await;
        }
        let crowd = pooled.crowd(Nature::Held);
        crowd.has_written(50).await;
        let catalog = catalog(&switch.serving(&pooled.scene).await).await;
        Before {
            pooled,
            crowd,
            switch,
            catalog,
        }
    }

    /// Begins the switch; its pause has begun, and nobody is held yet.
    async fn at_the_gate(&self) -> (Running, Instant) {
        self.pooled.shut_gate();
        let pause = format!("{}s", MAX_PAUSE.as_secs());
        let arguments = [self.switch.command(), "--json", "--max-pause", &pause];
        let mut running = self.pooled.scene.start(&arguments);
        running.must_say("holding clients").await;
        let began = Instant::now();
        self.pooled.is_before_gate().await;
        (running, began)
    }

    async fn assert_given_back(&self, running: Running, began: Instant) -> String {
        let ran = running.ended().await;
        let took = began.elapsed();
        self.assert_serves_as_before(ran, took).await
    }

    async fn assert_serves_as_before(&self, ran: Ran, took: Duration) -> String {
        let report = ran.expect_code(7).json();
        eprintln!("given back {took:?} after the pause began");
        assert!(took <= MAX_PAUSE + GRACE, "it took {took:?}");
        assert_eq!(report["outcome"], "aborted", "{report:#}");
        self.pooled.are_served(&self.crowd).await;
        let client = self.switch.serving(&self.pooled.scene).await;
        // What was made for a way back goes when the side that stalls answers again.
        let (before, after) = (not_ours(&self.catalog), not_ours(&catalog(&client).await));
        assert_same_catalog("side that serves", &before, &after);
        report["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// Nothing is left in the way of the next one, and no client saw an error.
    async fn goes_on(self) {
        let Before {
            pooled,
            crowd,
            switch,
            catalog: before,
        } = self;
        let scene = &pooled.scene;
        // What a side that stalled did in the end may take a moment.
        until(PATIENCE, async || {
            scene.trunkline(&["run", "--until", "following"]).await.code == Some(0)
        })
        .await;
        let after = catalog(&switch.serving(scene).await).await;
        assert_same_catalog("side that serves", &before, &after);
        scene.done(&[switch.command()]).await;
        pooled.are_served(&crowd).await;
        let journal = pooled.assert_complete(crowd).await;
        assert_eq!(journal.errors, Vec::<String>::new());
    }
}

async fn a_side_stalls(switch: Switch) {
    let before = Before::new(switch, "transaction").await;
    let (running, began) = before.at_the_gate().await;
    let door = switch.other_door(&before.pooled);
    door.freeze();
    before.pooled.open_gate();
    before.assert_given_back(running, began).await;
    door.thaw();
    before.goes_on().await;
}

async fn a_lock_stops_the_drain(switch: Switch) {
    let before = Before::new(switch, "transaction").await;
    let (running, began) = before.at_the_gate().await;
    let busy = switch.other(&before.pooled.scene).await;
    let lock = "SET default_transaction_read_only = off; \
                BEGIN READ WRITE; LOCK TABLE public.accounts IN EXCLUSIVE MODE";
    busy.batch_execute(lock).await.expect("it is locked");
    before.crowd.has_written(50).await;
    before.pooled.open_gate();
    let reason = before.assert_given_back(running, began).await;
    assert!(reason.contains("drain"), "{reason}");
    busy.batch_execute("ROLLBACK").await.expect("it ends");
    before.goes_on().await;
}

async fn a_pooler_is_silent(switch: Switch) {
    let before = Before::new(switch, "transaction").await;
    let (running, began) = before.at_the_gate().await;
    before.pooled.bouncer.freeze();
    before.pooled.open_gate();
    tokio::time::sleep_until((began + MAX_PAUSE).into()).await;
    before.pooled.bouncer.thaw();
    let reason = before.assert_given_back(running, began).await;
    assert!(reason.contains("hold"), "{reason}");
    before.goes_on().await;
}

/// Nobody can tell a pooler that is silent for good to let its clients go: that is said, the
/// fence is gone, and the next run tells it.
async fn a_pooler_stays_silent(switch: Switch) {
    let before = Before::new(switch, "transaction").await;
    let (running, began) = before.at_the_gate().await;
    before.pooled.bouncer.freeze();
    before.pooled.open_gate();
    let ran = running.ended().await;
    let took = began.elapsed();
    assert!(
        took < MAX_PAUSE + Duration::from_secs(20),
        "it took {took:?}"
    );
    let code = if switch == Switch::Cutover { 4 } else { 5 };
    ran.expect_code(code)
        .expect_said(&["open again", "clients", "trunkline run"]);
    before.pooled.bouncer.thaw();
    before.goes_on().await;
}

/// Another session has the database's row, so that neither the fence can be made nor lifted:
/// that is told, and clients go on as soon as it lets go.
async fn somebody_changes_the_database(switch: Switch) {
    let before = Before::new(switch, "transaction").await;
    let (mut running, _) = before.at_the_gate().await;
    let serving = match switch {
        Switch::Cutover => &before.pooled.scene.source,
        Switch::Rollback => &before.pooled.scene.target,
    };
    let other = connect(&serving.uri("postgres")).await;
    let change = format!("BEGIN; GRANT CONNECT ON DATABASE {DATABASE} TO PUBLIC");
    other.batch_execute(&change).await.expect("it is free");
    before.pooled.open_gate();
    running
        .must_say("is not given back to its clients yet")
        .await;
    other.batch_execute("ROLLBACK").await.expect("it ends");
    running.ended().await.expect_code(7);
    before.goes_on().await;
}

/// A transaction of a client that waits for its user.
async fn open_transaction(pooled: &Pooled) -> Client {
    let client = connect(&pooled.bouncer.uri(DATABASE)).await;
    let begin = "BEGIN; SELECT count(*) FROM public.ledger";
    client.batch_execute(begin).await.expect("it reads");
    client
}

async fn a_client_does_not_let_go(switch: Switch) {
    let before = Before::new(switch, "transaction").await;
    let client = open_transaction(&before.pooled).await;
    let (running, began) = before.at_the_gate().await;
    before.pooled.open_gate();
    let reason = before.assert_given_back(running, began).await;
    assert!(reason.contains("hold"), "{reason}");
    let still = client.batch_execute("SELECT 1; COMMIT").await;
    still.expect("its transaction is as it was");
    before.goes_on().await;
}

async fn a_pool_by_session_does_not_let_go(switch: Switch) {
    let before = Before::new(switch, "session").await;
    let (running, began) = before.at_the_gate().await;
    before.pooled.open_gate();
    let reason = before.assert_given_back(running, began).await;
    assert!(reason.contains("pool_mode session"), "{reason}");
    let journal = before.crowd.stop().await;
    assert_eq!(journal.errors, Vec::<String>::new());
}

/// One test a trouble and direction.
macro_rules! in_both_directions {
    ($($trouble:ident: $cutover:ident, $rollback:ident;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $cutover() {
                skip_unless_available!(any_major());
                skip_unless_installed!("pgbouncer");
                $trouble(Switch::Cutover).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rollback() {
                skip_unless_available!(any_major());
                skip_unless_installed!("pgbouncer");
                $trouble(Switch::Rollback).await;
            }
        )+
    };
}

in_both_directions! {
    a_side_stalls:
        a_target_that_stalls_gives_the_source_back_in_time,
        a_source_that_stalls_gives_the_target_back_in_time;
    a_lock_stops_the_drain:
        a_lock_on_the_target_gives_the_source_back_in_time,
        a_lock_on_the_source_gives_the_target_back_in_time;
    a_pooler_is_silent:
        a_silent_pooler_gives_the_source_back_when_it_answers,
        a_silent_pooler_gives_the_target_back_when_it_answers;
    a_pooler_stays_silent:
        a_pooler_that_stays_silent_ends_the_cutover_with_what_to_do,
        a_pooler_that_stays_silent_ends_the_rollback_with_what_to_do;
    somebody_changes_the_database:
        who_changes_the_source_holds_up_its_clients_and_is_told_of,
        who_changes_the_target_holds_up_its_clients_and_is_told_of;
    a_client_does_not_let_go:
        an_open_transaction_ends_the_cutover_in_time,
        an_open_transaction_ends_the_rollback_in_time;
    a_pool_by_session_does_not_let_go:
        a_pool_by_session_ends_the_cutover_in_time,
        a_pool_by_session_ends_the_rollback_in_time;
}
