//! The plan: what a migration is to do, parsed once and then true. The binary turns
//! arguments and the plan file into this; nothing checks it again.

mod seed;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use trunkline_apply::{ConflictPolicy, DdlMode};
use trunkline_changes::Side;
use trunkline_load::{Scope, Transform};
use trunkline_postgres::Conninfo;

pub use crate::plan::seed::{BaseBackup, PositionFrom, Seed, Snapshot};
use crate::smoke::SmokeTest;
use crate::traffic::Traffic;
pub use crate::validation::{Share, ValidationPlan};
use crate::way::Way;
pub use trunkline_capture::slot::Plugin;
pub use trunkline_verify::PART_BYTES;

/// Everything that a command needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The migration's name. A target takes one migration at a time.
    pub name: String,
    /// The server that the database leaves.
    pub source: Conninfo,
    /// The server that it moves to.
    pub target: Conninfo,
    /// A standby of the source that is read in its place.
    pub relay: Option<RelayPlan>,
    /// Where files of this migration lie on this machine.
    pub dir: PathBuf,
    /// How the changes get to the target before the first cutover.
    pub route: Route,
    /// Which tables.
    pub scope: Scope,
    /// What becomes of names, columns and rows.
    pub transform: Transform,
    /// Tables without a replica identity that the operator says are only inserted into.
    pub insert_only: Option<Scope>,
    /// A publication that an administrator made on the source; without it we make our own.
    pub publication: Option<String>,
    /// What decodes the source's log. The target's, for the way back, is always decoded by
    /// pgoutput: there the tables are ours to publish.
    pub decoder: Plugin,
    /// What becomes of the structure.
    pub structure: StructurePlan,
    /// How the first rows come.
    pub seed: Seed,
    /// How rows are copied.
    pub copy: CopyPlan,
    /// What happens when a change does not fit the target.
    pub conflict: ConflictPolicy,
    /// What becomes of changes of the source's structure. Without it they are not logged, and
    /// the stream stops at the first row that does not fit.
    pub ddl: Option<DdlMode>,
    /// The cutover.
    pub cutover: CutoverPlan,
    /// How both sides are compared while changes flow.
    pub validation: ValidationPlan,
    /// What the source may bear.
    pub budget: Budget,
    /// Slots of other consumers on the source that are handed over at the cutover.
    pub downstream: Vec<String>,
}

impl Plan {
    /// What decodes the log of the side that changes come from.
    pub(crate) fn decoder(&self, way: Way) -> Plugin {
        match way {
            Way::There => self.decoder,
            Way::Back => Plugin::Pgoutput,
        }
    }

    /// Whether nothing can be written on the target at first, because it is a standby or comes
    /// to be during the migration: its journal begins as a file.
    pub(crate) fn begins_in_file(&self) -> bool {
        self.route.replica().is_some() || self.seed != Seed::Copy
    }

    /// The standby that we make on this machine, and how it is reached: the target, or the
    /// relay. A plan has at most one of them.
    pub(crate) fn made_standby(&self) -> Option<(&BaseBackup, &Conninfo)> {
        if let Some(relay) = &self.relay {
            return relay.made.as_ref().map(|made| (made, &relay.server));
        }
        match &self.route.replica()?.standby {
            StandbyPlan::Made(made) => Some((made, &self.target)),
            StandbyPlan::Adopted => None,
        }
    }

    /// The target, where it is a copy that we make on this machine.
    pub(crate) fn made_target(&self) -> Option<&BaseBackup> {
        if let Some(Snapshot::BaseBackup(made)) = self.seed.snapshot() {
            return Some(made);
        }
        let (made, _) = self.made_standby().filter(|_| self.relay.is_none())?;
        Some(made)
    }

    /// How one of the two servers is reached.
    pub fn server(&self, side: Side) -> &Conninfo {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// The server from which changes of a side, and its rows, are read: the relay for the
    /// source, where there is one.
    pub fn read_from(&self, side: Side) -> &Conninfo {
        match (side, &self.relay) {
            (Side::Source, Some(relay)) => &relay.server,
            _ => self.server(side),
        }
    }

    /// The relay, where a side's changes are read from one.
    pub(crate) fn relay_of(&self, side: Side) -> Option<&RelayPlan> {
        self.relay.as_ref().filter(|_| side == Side::Source)
    }
}

/// A physical standby of the source. Slots stand there, and rows and changes are read there,
/// so that the source decodes nothing.
#[derive(Clone, Debug)]
pub struct RelayPlan {
    /// How it is reached: the same database.
    pub server: Conninfo,
    /// Its physical slot on the source, if the operator names it; else it is asked.
    pub slot: Option<String>,
    /// How we make it on this machine, where nobody else does.
    pub made: Option<BaseBackup>,
}

/// How the changes get to the target before the first cutover. What flows after it, back and
/// there again, is always Trunkline's own stream.
#[derive(Clone, Debug)]
pub enum Route {
    /// Trunkline reads the source's slot and writes the rows.
    Stream,
    /// A subscription of the target reads the slot.
    Subscription(Box<SubscriptionPlan>),
    /// A physical standby of the source becomes the target.
    Replica(ReplicaPlan),
}

impl Route {
    /// The subscription, where it is the route.
    pub fn subscription(&self) -> Option<&SubscriptionPlan> {
        match self {
            Route::Stream | Route::Replica(_) => None,
            Route::Subscription(plan) => Some(plan),
        }
    }

    /// The standby, where it is the route.
    pub fn replica(&self) -> Option<&ReplicaPlan> {
        match self {
            Route::Stream | Route::Subscription(_) => None,
            Route::Replica(plan) => Some(plan),
        }
    }
}

/// The standby that becomes the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaPlan {
    /// Where it comes from.
    pub standby: StandbyPlan,
    /// Prints the platform's lag metric in bytes. In the pause, that is asked besides.
    pub lag_command: Option<String>,
}

/// Where a standby comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StandbyPlan {
    /// It stands, and follows the source: the operator made it, and keeps it.
    Adopted,
    /// We make it on this machine, by `pg_basebackup`.
    Made(BaseBackup),
}

/// What the target's subscription is to be.
#[derive(Clone, Debug)]
pub struct SubscriptionPlan {
    /// How the target's server reaches the source.
    pub connection: Conninfo,
    /// Who copies the rows that are there already.
    pub rows: RowsBy,
    /// Whether rows travel in binary form.
    pub binary: bool,
}

/// Who copies the rows that are there before changes flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsBy {
    /// The subscription's own initial synchronization.
    Subscription,
    /// Trunkline, as on the stream route; the subscription takes over where the copy ends.
    Trunkline,
}

/// Whether the old side is kept up to date after a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayBack {
    /// Changes flow back from before the first client writes, so that `rollback` loses
    /// nothing. A cutover that cannot prepare it is refused.
    Open,
    /// Nothing flows back: there is no rollback.
    None,
}

/// How the tables get onto the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StructurePlan {
    /// Dumped from the source and restored.
    Restore {
        /// Whether objects keep their owners.
        owners: Keep,
        /// Whether objects keep their grants.
        privileges: Keep,
        /// What becomes of objects that are there already.
        existing: Existing,
    },
    /// The target's tables stand there already.
    Present,
}

/// Whether something is carried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is.
    Yes,
    /// It is left out.
    No,
}

/// What becomes of objects that stand on the target before us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The migration is refused.
    Refuse,
    /// Those that we would make are dropped first.
    Drop,
}

/// How rows are copied.
#[derive(Clone, Debug)]
pub struct CopyPlan {
    /// Tables (or pieces of one) at the same time.
    pub jobs: usize,
    /// Indexes at the same time.
    pub index_jobs: usize,
    /// Above this size, in bytes, a table is copied in pieces.
    pub split_above_bytes: u64,
}

/// The cutover.
#[derive(Clone, Debug)]
pub struct CutoverPlan {
    /// The lag at which it may begin, in bytes of the source's log.
    pub max_lag_bytes: u64,
    /// The longest time from holding the clients to releasing them.
    pub max_pause: Duration,
    /// How long the comparison inside the pause may take.
    pub recheck: Duration,
    /// Whether the old side is kept up to date after the switch.
    pub way_back: WayBack,
    /// How clients are moved.
    pub traffic: Arc<dyn Traffic>,
    /// The source's database from which the fence is set.
    pub maintenance_database: String,
    /// What must be seen of the server that is about to serve.
    pub smoke: Vec<SmokeTest>,
}

/// What the source may bear: how much of its log our slot may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Above this, in bytes, it is said.
    pub wal_kept_warn_bytes: u64,
    /// Above this, in bytes, the run stops.
    pub wal_kept_stop_bytes: u64,
}
