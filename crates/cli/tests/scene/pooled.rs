//! A migration whose clients come through a real PgBouncer, as an ordinary role, while
//! Trunkline reaches both servers through proxies that fail on demand.

use std::sync::atomic::{AtomicBool, Ordering};

use trunkline_testkit::front::PgBouncer;
use trunkline_testkit::{FaultyProxy, any_major, try_connect, until};

use super::crowd::{Crowd, Journal, Nature, ROLE, assert_nothing_lost, ledger};
use super::{DATABASE, PATIENCE, Scene};

/// One transaction of a client, which keeps accounts and ledger in step.
const ONE_MORE: &str = "UPDATE public.accounts SET balance = balance + 1 WHERE id = 1; \
                        INSERT INTO public.ledger (client, entry) VALUES (-1, 0)";

/// Two servers, what stands before them, and a migration between them.
pub(crate) struct Pooled {
    pub(crate) scene: Scene,
    pub(crate) bouncer: PgBouncer,
    /// How Trunkline reaches the source.
    pub(crate) source_door: FaultyProxy,
    /// How Trunkline reaches the target.
    pub(crate) target_door: FaultyProxy,
    /// Whether clients were on the target yet: before that, nothing closes it.
    moved: AtomicBool,
}

impl Pooled {
    /// Clients in pools by transaction; `plan` is what the plan says beside the traffic.
    pub(crate) async fn new(plan: &str) -> Self {
        Self::by("transaction", plan).await
    }

    /// The same with another `pool_mode`.
    pub(crate) async fn by(pool_mode: &str, plan: &str) -> Self {
        let mut scene = ledger(Scene::new(any_major(), any_major()).await);
        let source_door = FaultyProxy::start(scene.source.port()).await;
        let target_door = FaultyProxy::start(scene.target.port()).await;
        scene.reach("TRUNKLINE_SOURCE", &source_door.uri(DATABASE));
        scene.reach("TRUNKLINE_TARGET", &target_door.uri(DATABASE));
        let (source, target) = (scene.source.port(), scene.target.port());
        let line = format!(
            "{DATABASE} = host=127.0.0.1 port={source} dbname={DATABASE} pool_size=10 \
             user={ROLE} pool_mode={pool_mode}\n"
        );
        let settings = "max_client_conn = 200\nserver_login_retry = 1";
        let bouncer = PgBouncer::start(&line, settings);
        let (holding, gate) = (scene.path("holding"), scene.path("gate"));
        // Open, unless a test shuts it: then nothing is held yet, and the pause has begun.
        let hold = format!(
            "touch '{}'; for i in $(seq 600); do test -e '{}' || exit 0; sleep 0.02; done; exit 1",
            holding.display(),
            gate.display()
        );
        scene.plan(&format!(
            "[cutover]\ntraffic = [{{ kind = \"command\", hold = \"{hold}\" }}, \
             {{ kind = \"pgbouncer\", admin = \"{}\", config = \"{}\", \
             database = \"{DATABASE}\", source = \"127.0.0.1:{source}/{DATABASE}\", \
             target = \"127.0.0.1:{target}/{DATABASE}\" }}]\n{plan}\n",
            bouncer.console("admin"),
            bouncer.config().display()
        ));
        Pooled {
            scene,
            bouncer,
            source_door,
            target_door,
            moved: AtomicBool::new(false),
        }
    }

    /// Keeps the next switch at the beginning of its pause until [`Self::open_gate`].
    pub(crate) fn shut_gate(&self) {
        // Not there as a rule.
        let _ = std::fs::remove_file(self.scene.path("holding"));
        std::fs::write(self.scene.path("gate"), "").expect("the gate is shut");
    }

    /// Waits until a switch stands before the gate.
    pub(crate) async fn is_before_gate(&self) {
        until(PATIENCE, async || self.scene.path("holding").exists()).await;
    }

    /// Lets it go on.
    pub(crate) fn open_gate(&self) {
        std::fs::remove_file(self.scene.path("gate")).expect("the gate was shut");
    }

    /// Some clients that write through the pooler.
    pub(crate) fn crowd(&self, nature: Nature) -> Crowd {
        Crowd::of(4, &self.bouncer.uri(DATABASE), nature)
    }

    /// The side that serves, as `status` says.
    pub(crate) async fn serves(&self) -> String {
        let status = self.scene.done(&["status", "--json"]).await.json();
        status["serves"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether an ordinary client that goes past the pooler can write on a side.
    async fn takes_writes(&self, side: &str) -> bool {
        let cluster = match side {
            "source" => &self.scene.source,
            _ => &self.scene.target,
        };
        let uri = cluster.uri(DATABASE).replace("postgres@", "app@");
        match try_connect(&uri).await {
            Ok(client) => client.batch_execute(ONE_MORE).await.is_ok(),
            Err(_) => false,
        }
    }

    /// Asserts that ordinary clients can write on the side that serves, and, once they were
    /// moved, on no other; gives that side.
    pub(crate) async fn assert_one_side_takes_writes(&self) -> String {
        let serves = self.serves().await;
        let other = if serves == "source" {
            "target"
        } else {
            "source"
        };
        assert!(
            self.takes_writes(&serves).await,
            "the {serves} serves and takes no writes"
        );
        let moved = self.moved.fetch_or(serves == "target", Ordering::SeqCst);
        if serves == "source" && !moved {
            return serves;
        }
        assert!(
            !self.takes_writes(other).await,
            "the {serves} serves, and the {other} takes writes too"
        );
        serves
    }

    /// Waits until the clients of the pooler are served.
    pub(crate) async fn are_served(&self, crowd: &Crowd) {
        let before = crowd.committed();
        until(PATIENCE, async || crowd.committed() >= before + 20).await;
    }

    /// Moves the clients to the target, if they are not there, ends the migration, and asserts
    /// that nothing was lost and nothing stays.
    pub(crate) async fn assert_complete(&self, crowd: Crowd) -> Journal {
        let journal = crowd.stop().await;
        let twice = journal.errors.iter().find(|error| error.contains("23505"));
        assert_eq!(twice, None, "a sequence gave a number twice");
        let scene = &self.scene;
        if self.serves().await == "target" {
            scene.done(&["rollback"]).await;
        }
        assert_nothing_lost(&scene.on_source().await, &journal).await;
        scene.done(&["cutover"]).await;
        scene.assert_same().await;
        assert_nothing_lost(&scene.on_target().await, &journal).await;
        assert_eq!(self.assert_one_side_takes_writes().await, "target");
        scene.done(&["complete"]).await;
        scene.assert_nothing_of_ours().await;
        journal
    }
}
