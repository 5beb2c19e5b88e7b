//! What happened, in order: intents before an act, outcomes after it. Replaying the entries
//! gives the state, and any prefix of them can be gone on from.

use std::collections::BTreeSet;

use crate::fence::FenceBefore;
use crate::phase::{Event, IllegalEvent, Phase};
use trunkline_capture::slot::SlotRecord;
use trunkline_load::SchemaSettings;

/// The version of the entries' format. A journal of another version is refused.
pub(crate) const FORMAT: i32 = 1;

/// Something that we make, and must take away again. Its name is ours alone (it holds the
/// migration's id), so an intent is receipt enough to remove it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Object {
    /// A publication on the source.
    Publication(String),
    /// A replication slot on the source.
    Slot(String),
    /// The structure restored on the target, as the structure ledger lists it.
    Structure,
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// The migration moved.
    Moved(Event),
    /// An object is about to be made.
    Making(Object),
    /// The object is gone again.
    Removed(Object),
    /// The slot, as it was made.
    SlotMade(SlotRecord),
    /// The source's settings before the fence, written before the first of them changes.
    Fencing(FenceBefore),
    /// Clients reach the target: the traffic's steps are done.
    ClientsReleased,
    /// The structure was in place before us: nothing of it is ours.
    StructureAdopted,
    /// Schemas and extensions of the target before the structure was restored: they stay.
    Standing(BTreeSet<String>),
    /// What these schemas were before the structure was restored.
    SchemasBefore(Vec<SchemaSettings>),
}

/// What the journal's entries add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Where the migration stands.
    pub(crate) phase: Phase,
    /// What we made and did not remove.
    pub(crate) receipts: BTreeSet<Object>,
    /// The slot.
    pub(crate) slot: Option<SlotRecord>,
    /// The source's settings before the fence, while the fence may stand.
    pub(crate) fence: Option<FenceBefore>,
    /// Whether the traffic's steps after the switch are done.
    pub(crate) clients_released: bool,
    /// Schemas and extensions of the target that were there before us.
    pub(crate) standing: Option<BTreeSet<String>>,
    /// Owners, grants and comments of those schemas.
    pub(crate) schemas_before: Option<Vec<SchemaSettings>>,
}

impl State {
    /// Before the first entry.
    pub(crate) fn new() -> Self {
        State {
            phase: Phase::Planned,
            receipts: BTreeSet::new(),
            slot: None,
            fence: None,
            clients_released: false,
            standing: None,
            schemas_before: None,
        }
    }

    /// The state after one more entry.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Result<(), IllegalEvent> {
        match entry {
            Entry::Moved(event) => {
                self.phase = self.phase.after(event)?;
                if matches!(event, Event::FenceLifted | Event::CleanedUp) {
                    self.fence = None;
                }
            }
            Entry::Making(object) => {
                self.receipts.insert(object.clone());
            }
            Entry::Removed(object) => {
                self.receipts.remove(object);
            }
            Entry::SlotMade(slot) => self.slot = Some(slot.clone()),
            Entry::ClientsReleased => self.clients_released = true,
            Entry::Fencing(before) => self.fence = Some(before.clone()),
            // A restore that was interrupted finds its own schemas: the first look counts.
            Entry::SchemasBefore(schemas) => {
                self.schemas_before.get_or_insert_with(|| schemas.clone());
            }
            Entry::Standing(names) => {
                self.standing.get_or_insert_with(|| names.clone());
            }
            Entry::StructureAdopted => {
                self.receipts.remove(&Object::Structure);
            }
        }
        Ok(())
    }
}

impl Default for State {
    fn default() -> Self {
        State::new()
    }
}
