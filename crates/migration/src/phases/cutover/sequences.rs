//! Every sequence of the fenced side, set on the other one and read back. A sequence that a
//! column owns is the one of that column on the other side, whatever it is called there.

use std::collections::HashMap;

use trunkline_changes::{Side, TableName};
use trunkline_load::{
    Layout, Scope, Sequence, SequenceDifference, Unowned, compare_sequences, list_sequences,
    read_sequence_positions, read_sequences, set_sequences,
};
use trunkline_postgres::Session;

use super::Missed;
use super::proof::SequencesSet;
use crate::error::Error;
use crate::run::Run;
use crate::way::Way;

/// Sets them, and shows it.
pub(super) async fn set_and_read_back(
    run: &Run<'_>,
    way: Way,
    from: &mut Session,
    to: &mut Session,
    layout: &Layout,
) -> Result<SequencesSet, Missed> {
    let scope = run.scope_on(way.from(), layout);
    let (wanted, found) = carry_over(way, from, to, &scope, layout).await?;
    let differences = compare_sequences(&wanted, &found);
    SequencesSet::new(wanted.len(), &differences).ok_or_else(|| {
        let names: Vec<String> = differences.iter().map(ToString::to_string).collect();
        Missed::Because(format!("sequences do not read back: {}", names.join(", ")))
    })
}

/// Sets the sequences of one side in a scope on the other; gives what was wanted, by the other
/// side's names, and what was read back.
pub(crate) async fn carry_over(
    way: Way,
    from: &mut Session,
    to: &mut Session,
    scope: &Scope,
    layout: &Layout,
) -> Result<(Vec<Sequence>, Vec<Sequence>), Error> {
    let mut wanted = read_sequences(from, way.from(), scope).await?;
    let side = way.to();
    let all = Scope::everything();
    let standing = list_sequences(to, side, &all, Unowned::BySchema).await?;
    wanted = by_names_of(&standing, wanted, way, layout);
    if way == Way::Back {
        // One that the source never had belongs to what stood on the target before us.
        wanted.retain(|sequence| standing.iter().any(|there| there.name == sequence.name));
    }
    set_sequences(to, side, &wanted).await?;
    let ours = |there: &Sequence| wanted.iter().any(|sequence| sequence.name == there.name);
    let mut found: Vec<Sequence> = standing.into_iter().filter(ours).collect();
    read_sequence_positions(to, side, &mut found).await?;
    Ok((wanted, found))
}

/// The same sequences by the names that they have on the other side. Those of columns that
/// stay behind have none.
fn by_names_of(
    standing: &[Sequence],
    wanted: Vec<Sequence>,
    way: Way,
    layout: &Layout,
) -> Vec<Sequence> {
    let owned: HashMap<(&TableName, &str), &TableName> = standing
        .iter()
        .filter_map(|there| {
            let column = there.owner_column.as_deref()?;
            Some(((there.owner.as_ref()?, column), &there.name))
        })
        .collect();
    let named = |mut sequence: Sequence| {
        if let (Some(owner), Some(column)) = (&sequence.owner, &sequence.owner_column) {
            let (place, names) = match way {
                Way::There => (layout.place(owner), layout.columns(owner)),
                Way::Back => {
                    let place = layout.source_of(owner).unwrap_or(owner);
                    (place, layout.columns(place).turned())
                }
            };
            let there = names.there(column)?;
            let is_moved = place != owner || there != column;
            if is_moved && let Some(name) = owned.get(&(place, there)) {
                sequence.name = (*name).clone();
            }
        }
        Some(sequence)
    };
    wanted.into_iter().filter_map(named).collect()
}

/// For a copy at rest: sets every sequence, and gives how many, or what does not stand as it
/// should.
pub(crate) async fn carry_over_at_rest(
    run: &mut Run<'_>,
) -> Result<Result<usize, Vec<SequenceDifference>>, Error> {
    let layout = run.layout().await?;
    let mut source = run.connect(Side::Source, "clone").await?;
    let scope = &run.plan.scope;
    let target = run.control.session()?;
    let (wanted, found) = carry_over(Way::There, &mut source, target, scope, &layout).await?;
    source.close().await;
    let differences = compare_sequences(&wanted, &found);
    Ok(if differences.is_empty() {
        Ok(wanted.len())
    } else {
        Err(differences)
    })
}
