//! Every sequence of the fenced source, set on the target and read back.

use trunkline_changes::Side;
use trunkline_load::{compare_sequences, read_sequences, set_sequences};
use trunkline_postgres::Session;

use super::Missed;
use super::proof::SequencesSet;
use crate::error::Error;
use crate::run::Run;

/// Sets them, and shows it.
pub(super) async fn set_and_read_back(
    run: &mut Run<'_>,
    source: &mut Session,
) -> Result<SequencesSet, Missed> {
    let scope = &run.plan.scope;
    let wanted = read_sequences(source, Side::Source, scope)
        .await
        .map_err(Error::from)?;
    let target = run.control.session();
    set_sequences(target, Side::Target, &wanted)
        .await
        .map_err(Error::from)?;
    let found = read_sequences(target, Side::Target, scope)
        .await
        .map_err(Error::from)?;
    let differences = compare_sequences(&wanted, &found);
    SequencesSet::new(wanted.len(), &differences).ok_or_else(|| {
        let names: Vec<String> = differences.iter().map(ToString::to_string).collect();
        Missed::Because(format!("sequences do not read back: {}", names.join(", ")))
    })
}
