//! Every sequence of the fenced side, set on the other one and read back.

use trunkline_load::{compare_sequences, read_sequences, set_sequences};
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
) -> Result<SequencesSet, Missed> {
    let scope = &run.plan.scope;
    let mut wanted = read_sequences(from, way.from(), scope)
        .await
        .map_err(Error::from)?;
    if way == Way::Back {
        // One that the source never had belongs to what stood on the target before us.
        let standing = read_sequences(to, way.to(), scope)
            .await
            .map_err(Error::from)?;
        wanted.retain(|sequence| standing.iter().any(|there| there.name == sequence.name));
    }
    set_sequences(to, way.to(), &wanted)
        .await
        .map_err(Error::from)?;
    let found = read_sequences(to, way.to(), scope)
        .await
        .map_err(Error::from)?;
    let differences = compare_sequences(&wanted, &found);
    SequencesSet::new(wanted.len(), &differences).ok_or_else(|| {
        let names: Vec<String> = differences.iter().map(ToString::to_string).collect();
        Missed::Because(format!("sequences do not read back: {}", names.join(", ")))
    })
}
