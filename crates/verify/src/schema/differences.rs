//! Two descriptions compared: what is missing, what is extra, and which aspects differ. Pure.

use serde::Serialize;

use super::aspect::{Fact, Reading};
use super::object::{ObjectId, ObjectKind};
use super::spelling::{Likeness, likeness};
use super::{Described, SchemaDescription};

/// The aspect that a difference names when perhaps only the spelling of a definition differs.
const DEFINITION_TEXT: &str = "definition_text";

/// How an object differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum SchemaChange {
    /// The source has it, the target has not.
    MissingOnTarget,
    /// The target has it, the source has not.
    ExtraOnTarget,
    /// Both have it, and one aspect of it is not the same.
    Differs {
        /// Which, such as `type` or `default`; `definition_text` where perhaps only the
        /// spelling differs.
        aspect: &'static str,
        /// The whole text on the source; `None` if it has no such thing.
        source: Option<String>,
        /// The whole text on the target.
        target: Option<String>,
    },
}

/// One difference between two databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchemaDifference {
    /// The kind of object.
    pub kind: ObjectKind,
    /// Its name, quoted where it must be, such as `public.orders.note`.
    pub object: String,
    /// How it differs.
    pub change: SchemaChange,
    /// Whether it counts. What does not: definitions that servers of different versions may
    /// merely spell differently, versions of extensions, and an index that is not valid on the
    /// source, which no dump carries.
    pub certain: bool,
}

/// What differs between two databases, sorted by kind and name. An object that is missing or
/// extra is named without what hangs on it: a table without its columns, a constraint without
/// its index, everything without its grants.
pub fn schema_differences(
    source: &SchemaDescription,
    target: &SchemaDescription,
) -> Vec<SchemaDifference> {
    let majors = [source.version.major(), target.version.major()];
    let mut found = Vec::new();
    for (id, here) in &source.objects {
        match target.objects.get(id) {
            Some(there) => compare(id, here, there, majors, &mut found),
            None if hangs_on_missing(here, target) => {}
            None => found.push(whole(
                id,
                SchemaChange::MissingOnTarget,
                !was_unusable(id, here),
            )),
        }
    }
    for (id, there) in &target.objects {
        if !source.objects.contains_key(id) && !hangs_on_missing(there, source) {
            found.push(whole(id, SchemaChange::ExtraOnTarget, true));
        }
    }
    // Stable: the aspects of one object stay in their order.
    found.sort_by(|one, two| (one.kind, &one.object).cmp(&(two.kind, &two.object)));
    found
}

fn hangs_on_missing(described: &Described, other: &SchemaDescription) -> bool {
    let parent = described.parent.as_ref();
    parent.is_some_and(|parent| !other.objects.contains_key(parent))
}

/// Whether it is the rest of an index build that failed. The index of a partitioned table is
/// not valid either while a partition lacks it, but a dump carries that one.
fn was_unusable(id: &ObjectId, described: &Described) -> bool {
    let says = |aspect, holds: &dyn Fn(&str) -> bool| {
        let fact = described.aspects.get(aspect);
        fact.is_some_and(|fact| holds(&fact.text))
    };
    id.kind == ObjectKind::Index
        && says("valid", &|text| text == "no")
        && !says("definition", &|text| text.contains(" ON ONLY "))
}

fn whole(id: &ObjectId, change: SchemaChange, certain: bool) -> SchemaDifference {
    SchemaDifference {
        kind: id.kind,
        object: id.name.clone(),
        change,
        certain,
    }
}

fn compare(
    id: &ObjectId,
    here: &Described,
    there: &Described,
    majors: [u32; 2],
    found: &mut Vec<SchemaDifference>,
) {
    let only_there = there
        .aspects
        .keys()
        .filter(|aspect| !here.aspects.contains_key(*aspect));
    for aspect in here.aspects.keys().chain(only_there) {
        let (source, target) = (here.aspects.get(aspect), there.aspects.get(aspect));
        let (aspect, certain) = match weigh(source, target, majors) {
            Likeness::Same => continue,
            Likeness::PerhapsSpelling => (DEFINITION_TEXT, false),
            Likeness::Noted => (*aspect, false),
            Likeness::Different => (*aspect, true),
        };
        let change = SchemaChange::Differs {
            aspect,
            source: source.map(|fact| fact.text.clone()),
            target: target.map(|fact| fact.text.clone()),
        };
        found.push(whole(id, change, certain));
    }
}

fn weigh(source: Option<&Fact>, target: Option<&Fact>, majors: [u32; 2]) -> Likeness {
    match (source, target) {
        (Some(source), Some(target)) => likeness(source, target, majors),
        (None, None) => Likeness::Same,
        (Some(fact), None) | (None, Some(fact)) => match fact.reading {
            Reading::Since(major) if majors.iter().any(|&here| here < major) => Likeness::Same,
            Reading::Note => Likeness::Noted,
            _ => Likeness::Different,
        },
    }
}
