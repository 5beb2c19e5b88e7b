//! Checked → Prepared: publications and slot on the source. The same things are made on the
//! side that is to serve before each switch: see [`super::way_back`].
//!
//! Needs: a role that owns the tables and has REPLICATION. Does: journals the intent, makes
//! the publications, then the slot (from there on no change is lost). Looks: by name, which
//! is ours alone. Undone: [`undo`], by the receipts in the journal.

mod slots;
mod taking_back;

use std::collections::BTreeSet;

use trunkline_capture::slot::Plugin;
use trunkline_changes::Side;
use trunkline_load::{Layout, Naming};

use crate::error::Error;
use crate::journal::{Entry, Leg};
use crate::phase::Event;
use crate::phases::publishing::{Publishing, publish, refuse_incomplete, streamed};
use crate::phases::renaming;
use crate::phases::seeding;
use crate::plan::Seed;
use crate::run::Run;
use crate::standby;
use crate::way::Way;
pub(crate) use slots::{Bound, make_slot, outlast_commits_under_way, patiently};
pub(crate) use taking_back::undo;

/// Makes what is missing.
pub(crate) async fn prepare(run: &mut Run<'_>) -> Result<(), Error> {
    const FIRST: u32 = 1;
    standby::relay(run).await?;
    let mut source = run.connect(Side::Source, "prepare").await?;
    let tables = trunkline_load::tables(&mut source, &run.plan.scope).await?;
    run.plan.transform.examine(&mut source, &tables).await?;
    renaming::note_rules(run).await?;
    if run.plan.decoder(Way::There) == Plugin::Pgoutput {
        run.step("publication");
    }
    let layout = Layout::new(&run.plan.transform, &tables, Naming::Final);
    if let Some(given) = &run.plan.publication {
        refuse_incomplete(&mut source, given, &layout, &tables).await?;
    }
    let what = Publishing {
        way: Way::There,
        tables: &tables,
        layout: &layout,
        major: source.version().major(),
    };
    publish(run, &mut source, FIRST, &what).await?;
    let slot = make_slot(run, &mut source, Way::There, FIRST, Bound::None).await?;
    match (&run.plan.seed, &run.plan.relay) {
        (Seed::Copy, None) => outlast_commits_under_way(run, &mut source, "the slot").await?,
        // From a relay rows are read under snapshots that are built from the log, too.
        (Seed::Copy, Some(_)) => {}
        // A physical copy is told by commit records, not by what a snapshot saw.
        (Seed::Snapshot(_), _) => seeding::mark(run, &mut source).await?,
    }
    let leg = Leg {
        number: FIRST,
        way: Way::There,
        start: slot.consistent_point,
        slot,
        left_out: BTreeSet::new(),
        streamed: streamed(run.plan, Way::There, &tables),
    };
    run.control.record(Entry::LegPrepared(leg)).await?;
    source.close().await;
    run.control.moved(Event::SourcePrepared).await
}
