//! Every sequence of the fenced side, set on the other one and read back. A sequence that a
//! column owns is the one of that column on the other side, whatever it is called there.

use std::collections::{HashMap, HashSet};

use trunkline_changes::{Side, TableName};
use trunkline_load::{
    Layout, LoadError, Scope, Sequence, SequenceDifference, Unowned, compare_sequences,
    list_sequences, read_sequence_positions, set_sequences,
};
use trunkline_postgres::{OnSide, Session};

use super::Missed;
use super::proof::SequencesSet;
use crate::error::Error;
use crate::limits::AHEAD_WAITS;
use crate::run::Run;
use crate::way::Way;

/// Sets them before anybody is held: what moves on until then is set again, and the servers know
/// them all by then. It saves time and no more: clients may be at work on one, and what cannot be
/// done now is tried in the pause.
pub(super) async fn set_ahead(
    run: &Run<'_>,
    way: Way,
    from: &mut Session,
    to: &mut Session,
    layout: &Layout,
) -> Result<(), Error> {
    let scope = run.scope_on(way.from(), layout);
    waiting_for(AHEAD_WAITS, way, from, to).await?;
    let set = carry_over(way, from, to, &scope, layout).await;
    if let Err(error) = set {
        if from.is_broken() || to.is_broken() {
            return Err(error);
        }
        tracing::warn!(%error, "sequences were not set ahead");
    }
    waiting_for("0", way, from, to).await
}

/// How long statements on both sides wait for a lock.
async fn waiting_for(
    limit: &str,
    way: Way,
    from: &mut Session,
    to: &mut Session,
) -> Result<(), Error> {
    let sql = format!("SET lock_timeout TO '{limit}'");
    let doing = "preparing to read the sequences";
    from.batch(&sql).await.on(way.from(), doing)?;
    to.batch(&sql).await.on(way.to(), doing)?;
    Ok(())
}

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
    read_back(&wanted, &found)
}

/// What was set is what is read.
pub(super) fn read_back(wanted: &[Sequence], found: &[Sequence]) -> Result<SequencesSet, Missed> {
    let differences = compare_sequences(wanted, found);
    SequencesSet::new(wanted.len(), &differences).ok_or_else(|| {
        let names: Vec<String> = differences.iter().map(ToString::to_string).collect();
        Missed::Because(format!("sequences do not read back: {}", names.join(", ")))
    })
}

/// Sets the sequences of one side in a scope on the other where they stand elsewhere; gives what
/// was wanted, by the other side's names, and what was read back.
pub(crate) async fn carry_over(
    way: Way,
    from: &mut Session,
    to: &mut Session,
    scope: &Scope,
    layout: &Layout,
) -> Result<(Vec<Sequence>, Vec<Sequence>), Error> {
    let everything = Scope::everything();
    // Each to its end, also when the other fails: the sessions go on.
    let (ours, standing) = tokio::join!(
        list_sequences(from, way.from(), scope, Unowned::BySchema),
        list_sequences(to, way.to(), &everything, Unowned::BySchema)
    );
    let (mut ours, standing) = (ours?, standing?);
    let names = names_on(&standing, &ours, way, layout);
    let wanted: HashSet<&TableName> = names.iter().flatten().collect();
    let mut found = standing;
    found.retain(|there| wanted.contains(&there.name));
    let (read, read_there) = tokio::join!(
        read_sequence_positions(from, way.from(), &mut ours),
        read_sequence_positions(to, way.to(), &mut found)
    );
    read.and(read_there)?;
    let wanted = std::iter::zip(ours, names).filter_map(|(sequence, name)| {
        let name = name?;
        Some(Sequence { name, ..sequence })
    });
    let wanted: Vec<Sequence> = wanted.collect();
    set_where_elsewhere(to, way.to(), &wanted, &mut found).await?;
    Ok((wanted, found))
}

/// Most stand where they should, if they were set before: those that do not are set, and read
/// once more.
async fn set_where_elsewhere(
    to: &mut Session,
    side: Side,
    wanted: &[Sequence],
    found: &mut [Sequence],
) -> Result<(), LoadError> {
    let standing = positions(found);
    let elsewhere = |one: &&Sequence| standing.get(&one.name) != Some(&position(one));
    let mut elsewhere: Vec<Sequence> = wanted.iter().filter(elsewhere).cloned().collect();
    set_sequences(to, side, &elsewhere).await?;
    read_sequence_positions(to, side, &mut elsewhere).await?;
    let read_again = positions(&elsewhere);
    for there in found {
        if let Some(&position) = read_again.get(&there.name) {
            (there.last_value, there.is_called) = position;
        }
    }
    Ok(())
}

fn position(sequence: &Sequence) -> (i64, bool) {
    (sequence.last_value, sequence.is_called)
}

fn positions(sequences: &[Sequence]) -> HashMap<&TableName, (i64, bool)> {
    let named = sequences.iter().map(|one| (&one.name, position(one)));
    named.collect()
}

/// The sequences that columns own.
fn by_column(sequences: &[Sequence]) -> HashMap<(&TableName, &str), Vec<&TableName>> {
    let mut owned: HashMap<_, Vec<_>> = HashMap::new();
    for sequence in sequences {
        if let (Some(owner), Some(column)) = (&sequence.owner, &sequence.owner_column) {
            let names = owned.entry((owner, column.as_str())).or_default();
            names.push(&sequence.name);
        }
    }
    owned
}

/// The names that sequences have on the other side. Those of columns that stay behind have none,
/// and on the way back those that the source never had: they belong to what stood on the target
/// before us.
fn names_on(
    standing: &[Sequence],
    ours: &[Sequence],
    way: Way,
    layout: &Layout,
) -> Vec<Option<TableName>> {
    let (owned, owning) = (by_column(standing), by_column(ours));
    let standing: HashSet<&TableName> = standing.iter().map(|there| &there.name).collect();
    let named = |sequence: &Sequence| {
        let mut name = &sequence.name;
        if let (Some(owner), Some(column)) = (&sequence.owner, &sequence.owner_column) {
            let (place, names) = match way {
                Way::There => (layout.place(owner), layout.columns(owner)),
                Way::Back => {
                    let place = layout.source_of(owner).unwrap_or(owner);
                    (place, layout.columns(place).turned())
                }
            };
            let there = names.there(column)?;
            // A column may own several: the one of the same name, then, or its own.
            if let Some(names) = owned.get(&(place, there)) {
                let here = owning.get(&(owner, column.as_str())).map(Vec::len);
                let alone = here == Some(1) && names.len() == 1;
                let same = names.iter().find(|there| there.name == name.name);
                let found = same.or_else(|| names.first().filter(|_| alone));
                name = found.copied().unwrap_or(name);
            }
        }
        (way == Way::There || standing.contains(name)).then(|| name.clone())
    };
    ours.iter().map(named).collect()
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
