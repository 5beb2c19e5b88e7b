//! Where the sequences of both sides stand. Nothing is paired: on a busy source the target's
//! are behind, and that is what is said.

use std::collections::{BTreeMap, BTreeSet};

use trunkline_changes::{Side, TableName};
use trunkline_load::{
    Scope, Sequence, SequenceDifference, Unowned, compare_sequences, list_sequences,
    read_sequence_positions,
};
use trunkline_postgres::Session;

use super::report::{NotCompared, SequenceOutcome, SequencePosition, SequenceReport, Uncompared};
use super::rights::{Barred, barred};
use crate::error::Error;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    /// How many both sides have, and let us read.
    pub(crate) compared: usize,
    pub(crate) differences: Vec<SequenceReport>,
    pub(crate) errors: Vec<NotCompared>,
}

/// Compares the sequences of both sides.
pub(crate) async fn compare(
    source: &mut Session,
    target: &mut Session,
    scope: &Scope,
    unowned: Unowned,
) -> Result<Sequences, Error> {
    let mut here = list_sequences(source, Side::Source, scope, unowned).await?;
    let mut there = list_sequences(target, Side::Target, scope, unowned).await?;
    let names = |list: &[Sequence]| -> BTreeSet<TableName> {
        list.iter().map(|sequence| sequence.name.clone()).collect()
    };
    let (on_source, on_target) = (names(&here), names(&there));
    let both = || on_source.intersection(&on_target);
    let unread = [
        (Side::Source, barred(source, Side::Source, both()).await?),
        (Side::Target, barred(target, Side::Target, both()).await?),
    ];
    let compared = |sequence: &Sequence| {
        let name = &sequence.name;
        on_source.contains(name)
            && on_target.contains(name)
            && unread.iter().all(|(_, barred)| !barred.contains_key(name))
    };
    here.retain(compared);
    there.retain(compared);
    read_sequence_positions(source, Side::Source, &mut here).await?;
    read_sequence_positions(target, Side::Target, &mut there).await?;
    let mut differences = differing(&here, &there);
    differences.extend(lacking(
        &on_source,
        &on_target,
        SequenceOutcome::MissingOnTarget,
    ));
    differences.extend(lacking(
        &on_target,
        &on_source,
        SequenceOutcome::MissingOnSource,
    ));
    differences.sort_by(|a, b| a.sequence.cmp(&b.sequence));
    Ok(Sequences {
        compared: here.len(),
        differences,
        errors: unread.into_iter().flat_map(not_compared).collect(),
    })
}

fn not_compared((side, barred): (Side, Barred)) -> impl Iterator<Item = NotCompared> {
    barred.into_iter().map(move |(name, why)| NotCompared {
        kind: Uncompared::Sequence,
        name: Some(name),
        side,
        why,
    })
}

fn lacking(
    here: &BTreeSet<TableName>,
    there: &BTreeSet<TableName>,
    outcome: SequenceOutcome,
) -> Vec<SequenceReport> {
    let report = |sequence: &TableName| SequenceReport {
        sequence: sequence.clone(),
        outcome,
        source: None,
        target: None,
    };
    here.difference(there).map(report).collect()
}

fn differing(here: &[Sequence], there: &[Sequence]) -> Vec<SequenceReport> {
    let increments: BTreeMap<&TableName, i64> =
        here.iter().map(|s| (&s.name, s.increment)).collect();
    let differences = compare_sequences(here, there).into_iter();
    let report = |difference| match difference {
        SequenceDifference::Position {
            name,
            source,
            target,
        } => {
            let falls = increments.get(&name).is_some_and(|step| *step < 0);
            let ahead = (target > source) != (falls && target.0 != source.0);
            SequenceReport {
                sequence: name,
                outcome: if ahead {
                    SequenceOutcome::Ahead
                } else {
                    SequenceOutcome::Behind
                },
                source: Some(position(source)),
                target: Some(position(target)),
            }
        }
        SequenceDifference::Parameters { name } | SequenceDifference::Missing { name } => {
            SequenceReport {
                sequence: name,
                outcome: SequenceOutcome::Parameters,
                source: None,
                target: None,
            }
        }
    };
    differences.map(report).collect()
}

fn position((last_value, is_called): (i64, bool)) -> SequencePosition {
    SequencePosition {
        last_value,
        is_called,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(increment: i64, source: (i64, bool), target: (i64, bool)) -> SequenceOutcome {
        let at = |(last_value, is_called)| Sequence {
            name: TableName::new("public", "s"),
            data_type: "bigint".to_owned(),
            start: 1,
            increment,
            min: -100,
            max: 100,
            cache: 1,
            cycle: false,
            owner: None,
            owner_column: None,
            last_value,
            is_called,
        };
        differing(&[at(source)], &[at(target)])[0].outcome
    }

    #[test]
    fn behind_is_what_would_give_a_number_twice() {
        use SequenceOutcome::{Ahead, Behind};
        assert_eq!(outcome(1, (5, true), (4, true)), Behind);
        assert_eq!(outcome(1, (5, true), (5, false)), Behind);
        assert_eq!(outcome(1, (5, true), (6, true)), Ahead);
        assert_eq!(outcome(-1, (-5, true), (-4, true)), Behind);
        assert_eq!(outcome(-1, (-5, true), (-5, false)), Behind);
        assert_eq!(outcome(-1, (-5, true), (-6, true)), Ahead);
    }
}
