//! What happened, in order: intents before an act, outcomes after it. Replaying the entries
//! gives the state, and any prefix of them can be gone on from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use trunkline_capture::slot::SlotRecord;
use trunkline_capture::test_decoding::StreamedTable;
use trunkline_changes::{Lsn, Side, TableName};
use trunkline_load::{Renames, SchemaSettings};

use crate::baseline::Baseline;
use crate::downstream::DownstreamSlot;
use crate::fence::FenceBefore;
use crate::phase::{Event, IllegalEvent, Phase};
use crate::way::Way;

/// The version of the entries' format. A journal of another version is refused.
pub(crate) const FORMAT: i32 = 2;

/// Something that we make, and must take away again. Its name is ours alone (it holds the
/// migration's id), so an intent is receipt enough to remove it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Object {
    /// A publication.
    Publication {
        /// Where.
        side: Side,
        /// Its name.
        name: String,
    },
    /// A replication slot.
    Slot {
        /// Where.
        side: Side,
        /// Its name.
        name: String,
    },
    /// A replication slot on the relay, from which the source's changes are read.
    RelaySlot {
        /// Its name.
        name: String,
    },
    /// A subscription on the target, which follows the source. After the slots in this order,
    /// because it is removed before the one that it reads.
    Subscription {
        /// Its name.
        name: String,
    },
    /// The structure restored on the target, as the structure ledger lists it.
    Structure,
    /// The schema `trunkline` on the source, which the way back needs.
    SourceRecords,
    /// The function and the event triggers that log changes of structure.
    DdlLog {
        /// Where.
        side: Side,
        /// The name that theirs begin with.
        name: String,
    },
    /// A physical copy on this machine, by its data folder. A receipt in the folder itself
    /// says the same.
    Copy {
        /// The data folder.
        data_directory: PathBuf,
    },
    /// The physical slot on the source that a standby of our making streams from.
    PhysicalSlot {
        /// Its name.
        name: String,
    },
}

impl Object {
    /// Whether it is what a leg that comes from this side follows.
    pub(crate) fn is_followed_on(&self, at: Side) -> bool {
        match self {
            Object::Publication { side, .. }
            | Object::Slot { side, .. }
            | Object::DdlLog { side, .. } => *side == at,
            Object::RelaySlot { .. } | Object::Subscription { .. } => at == Side::Source,
            // These outlive a switch, or go in an order of their own.
            Object::Structure
            | Object::SourceRecords
            | Object::Copy { .. }
            | Object::PhysicalSlot { .. } => false,
        }
    }
}

/// One stretch of following, between two switches of the clients.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Leg {
    /// Counted from 1; part of the names of its slot and publications from the second on.
    pub(crate) number: u32,
    /// Its direction.
    pub(crate) way: Way,
    /// Its slot, as it was made.
    pub(crate) slot: SlotRecord,
    /// Tables of the side that changes come from which the other side did not have when
    /// the leg was prepared: they stay out of it.
    pub(crate) left_out: BTreeSet<TableName>,
    /// From where on changes count: both sides agree up to there. The slot's own beginning
    /// for the first leg, whose rows are copied.
    pub(crate) start: Lsn,
    /// The tables whose changes are wanted, where no publication says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) streamed: Option<Vec<StreamedTable>>,
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// The migration moved.
    Moved(Event),
    /// An object is about to be made.
    Making(Object),
    /// The object is gone again.
    Removed(Object),
    /// What a leg follows was made: the first one's, or the next one's before a switch.
    LegPrepared(Leg),
    /// The next leg is not to be: its switch was given up, and what was made for it is gone.
    LegGivenUp,
    /// A side's settings before its fence, written before the first of them changes.
    Fencing {
        /// The side.
        side: Side,
        /// What it had.
        before: FenceBefore,
    },
    /// The side that serves after a switch has its own settings again.
    Unfenced(Side),
    /// Slots of other consumers are about to be made on the target.
    MakingDownstream(Vec<DownstreamSlot>),
    /// They are gone again.
    DownstreamDropped,
    /// What the application's busiest statements took on the source.
    Baseline(Baseline),
    /// Clients reach the side that serves: the traffic's steps are done.
    ClientsReleased,
    /// The structure was in place before us: nothing of it is ours.
    StructureAdopted,
    /// Schemas and extensions of the target before the structure was restored: they stay.
    Standing(BTreeSet<String>),
    /// What these schemas were before the structure was restored.
    SchemasBefore(Vec<SchemaSettings>),
    /// The plan's transformations, in words: they stay what they are.
    Transformed(Vec<String>),
    /// What was restored under the source's names has its own; in one transaction with that.
    Renamed(Renames),
    /// It has the source's again; in one transaction with that.
    RenamedBack,
    /// The target, which has these settings, is about to be closed for a rollback: the journal
    /// goes on on the source.
    GoneAway(FenceBefore),
    /// The position at which a physical copy is what the source was. The last one counts:
    /// recovery that is interrupted may end elsewhere.
    SeedFound {
        /// The position on the source.
        position: Lsn,
    },
    /// The subscription is to copy these tables again, and no others, because their copies were
    /// stranded: by the publication that they go back to.
    CopyingAgain(BTreeMap<String, BTreeSet<TableName>>),
    /// What was written on the source is on the target too, and the journal goes on here.
    CameHome,
}

/// What the journal's entries add up to.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what was recorded, each independent of the others"
)]
pub(crate) struct State {
    /// Where the migration stands.
    pub(crate) phase: Phase,
    /// What we made and did not remove.
    pub(crate) receipts: BTreeSet<Object>,
    /// Whether we promoted the standby, and the source serves all the same.
    pub(crate) spent: bool,
    /// What is followed; none before the slot is made, and after a switch without a way back.
    pub(crate) leg: Option<Leg>,
    /// What is followed once clients are switched.
    pub(crate) next_leg: Option<Leg>,
    /// Legs prepared so far.
    pub(crate) legs: u32,
    /// The source's settings before its fence, while one may stand.
    source_fence: Option<FenceBefore>,
    /// The target's.
    target_fence: Option<FenceBefore>,
    /// Whether the traffic's steps after the last switch are done; true before the first.
    pub(crate) clients_released: bool,
    /// Schemas and extensions of the target that were there before us.
    pub(crate) standing: Option<BTreeSet<String>>,
    /// Owners, grants and comments of those schemas.
    pub(crate) schemas_before: Option<Vec<SchemaSettings>>,
    /// The transformations that the migration began with; none before anything was made.
    pub(crate) transform: Option<Vec<String>>,
    /// Whether the target's tables were there before us.
    pub(crate) structure_adopted: bool,
    /// What was renamed on the target after it was restored.
    pub(crate) renamed: Option<Renames>,
    /// Schemas that we made for renamed tables.
    pub(crate) schemas_made: BTreeSet<String>,
    /// Slots of other consumers that we made on the target.
    pub(crate) downstream: Vec<DownstreamSlot>,
    /// Whether consumers were handed over to them: then they are not ours to take away with
    /// a switch that is given up.
    pub(crate) downstream_handed: bool,
    /// The barrier of the switch that is under way.
    barrier: Option<Lsn>,
    /// The barrier of the last switch: the position after the last change of clients on the
    /// side that they left.
    pub(crate) left_at: Option<Lsn>,
    /// What the application's busiest statements took on the source.
    pub(crate) baseline: Option<Baseline>,
    /// Whether the journal goes on on the source.
    pub(crate) away: bool,
    /// The position of the physical copy that the target is made of, once it is known.
    pub(crate) seed: Option<Lsn>,
    /// Whether the first rows came with a physical copy: there is no ledger of copied tables.
    pub(crate) seeded: bool,
    /// Tables that the subscription is to copy again, by their publication.
    pub(crate) copying_again: BTreeMap<String, BTreeSet<TableName>>,
}

impl State {
    /// Before the first entry.
    pub(crate) fn new() -> Self {
        State {
            phase: Phase::Planned,
            receipts: BTreeSet::new(),
            spent: false,
            leg: None,
            next_leg: None,
            legs: 0,
            source_fence: None,
            target_fence: None,
            clients_released: true,
            standing: None,
            schemas_before: None,
            transform: None,
            structure_adopted: false,
            renamed: None,
            schemas_made: BTreeSet::new(),
            downstream: Vec::new(),
            downstream_handed: false,
            barrier: None,
            left_at: None,
            baseline: None,
            away: false,
            seed: None,
            seeded: false,
            copying_again: BTreeMap::new(),
        }
    }

    /// The direction in which changes flow.
    pub(crate) fn way(&self) -> Way {
        self.phase.way()
    }

    /// A side's settings before its fence, while one may stand.
    pub(crate) fn fence(&self, side: Side) -> Option<&FenceBefore> {
        match side {
            Side::Source => self.source_fence.as_ref(),
            Side::Target => self.target_fence.as_ref(),
        }
    }

    /// The physical slot on the source that we made for a standby.
    pub(crate) fn physical_slot(&self) -> Option<&str> {
        self.receipts.iter().find_map(|object| match object {
            Object::PhysicalSlot { name } => Some(name.as_str()),
            _ => None,
        })
    }

    /// The subscription of the target that follows the source, if one was begun.
    pub(crate) fn subscription(&self) -> Option<&str> {
        self.receipts.iter().find_map(|object| match object {
            Object::Subscription { name } => Some(name.as_str()),
            _ => None,
        })
    }

    fn fence_mut(&mut self, side: Side) -> &mut Option<FenceBefore> {
        match side {
            Side::Source => &mut self.source_fence,
            Side::Target => &mut self.target_fence,
        }
    }

    /// Whether clients may be held and the side that serves them fenced: a switch was begun,
    /// and its point of no return not passed.
    pub(crate) fn is_pausing(&self) -> bool {
        self.clients_released && self.fence(self.way().from()).is_some()
    }

    /// The state after one more entry.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Result<(), IllegalEvent> {
        match entry {
            Entry::Moved(event) => self.moved(event)?,
            Entry::Making(object) => {
                self.receipts.insert(object.clone());
            }
            Entry::Removed(object) => {
                self.receipts.remove(object);
            }
            Entry::LegPrepared(leg) if leg.number == 1 => {
                self.legs = 1;
                self.leg = Some(leg.clone());
            }
            Entry::LegPrepared(leg) => {
                self.legs = leg.number;
                self.next_leg = Some(leg.clone());
            }
            Entry::LegGivenUp => self.next_leg = None,
            Entry::Fencing { side, before } => *self.fence_mut(*side) = Some(before.clone()),
            Entry::Unfenced(side) => *self.fence_mut(*side) = None,
            Entry::MakingDownstream(slots) => self.downstream.clone_from(slots),
            Entry::DownstreamDropped => self.downstream.clear(),
            Entry::Baseline(baseline) => self.baseline = Some(baseline.clone()),
            Entry::ClientsReleased => self.clients_released = true,
            // A restore that was interrupted finds its own schemas: the first look counts.
            Entry::SchemasBefore(schemas) => {
                self.schemas_before.get_or_insert_with(|| schemas.clone());
            }
            Entry::Standing(names) => {
                self.standing.get_or_insert_with(|| names.clone());
            }
            Entry::Transformed(rules) => self.transform = Some(rules.clone()),
            Entry::Renamed(renames) => {
                self.schemas_made.extend(renames.schemas.iter().cloned());
                self.renamed = Some(renames.clone());
            }
            Entry::RenamedBack => self.renamed = None,
            Entry::StructureAdopted => {
                self.receipts.remove(&Object::Structure);
                self.structure_adopted = true;
            }
            // The fence's intent too: should the source be lost, the target can be opened again.
            Entry::GoneAway(before) => {
                self.away = true;
                self.target_fence = Some(before.clone());
            }
            Entry::SeedFound { position } => self.seed = Some(*position),
            Entry::CopyingAgain(tables) => self.copying_again.clone_from(tables),
            Entry::CameHome => self.away = false,
        }
        Ok(())
    }

    fn moved(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        let served = self.way().from();
        self.phase = self.phase.after(event)?;
        match event {
            Event::FenceLifted => *self.fence_mut(served) = None,
            Event::BarrierApplied { barrier, .. } => self.barrier = Some(*barrier),
            Event::ClientsMoved { onwards } => {
                self.left_at = self.barrier.take();
                self.clients_released = false;
                self.downstream_handed = true;
                self.leg = self.next_leg.take().map(|leg| Leg {
                    start: onwards.unwrap_or(leg.slot.consistent_point),
                    ..leg
                });
            }
            Event::StandbyStands => self.spent = false,
            Event::StandbySpent => {
                // Only our own promotion closes it before.
                self.spent = self.target_fence.is_some();
                // What was made on it has gone its own way with it.
                self.next_leg = None;
                self.target_fence = None;
                self.downstream.clear();
                self.receipts
                    .retain(|object| !object.is_followed_on(Side::Target));
            }
            Event::Seeded { at } => {
                self.seeded = true;
                if let Some(leg) = &mut self.leg {
                    leg.start = *at;
                }
            }
            Event::CleanedUp => {
                self.source_fence = None;
                self.target_fence = None;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Default for State {
    fn default() -> Self {
        State::new()
    }
}
