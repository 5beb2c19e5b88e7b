//! What every phase of a running command has at hand: the plan, the journal, who watches,
//! and the facts about tables that follow from them.

mod beside;
mod budget;
mod standing;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use trunkline_apply::{CopyCover, KeyRange, TableCover};
use trunkline_capture::CaptureError;
use trunkline_capture::slot::{SlotProblem, SlotRefused};
use trunkline_changes::{Lsn, Side};
use trunkline_load::{Cover, Inventory, Table, TableKind};
use trunkline_postgres::{OnSide, PgError, Session};

use crate::control::Control;
use crate::error::Error;
use crate::journal::{Leg, Object};
use crate::limits::ANSWER_WITHIN;
use crate::observer::{Notice, Observer};
use crate::plan::Plan;
use crate::relay;
use crate::validation::Changed;
use crate::way::Way;
pub(crate) use budget::LogBudget;
pub(crate) use standing::{Tables, naming};

/// A command at work on a migration that it holds.
pub(crate) struct Run<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) control: Control,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) cancel: CancellationToken,
    pulse: Pulse,
    /// How much of its log the side that changes come from may keep.
    pub(crate) log_budget: LogBudget<'a>,
    /// Rows that changed since they were validated.
    pub(crate) changed: Arc<Changed>,
    /// What the copy's last phase knew of the source, for the next one.
    pub(crate) inventory: Option<Inventory>,
}

/// When both servers last answered: a connection that is lost then is made again for a while,
/// and one that never worked is an error at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    /// Both servers answered.
    pub(crate) fn beat(&self) {
        self.beat_at(Instant::now());
    }

    pub(crate) fn beat_at(&self, at: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// When that was, if ever.
    pub(crate) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look at the source while following.
pub(crate) struct SourceLook {
    /// Where its log ends.
    pub(crate) position: Lsn,
    /// How far its log can be read: as far as the relay has replayed it, where there is one.
    pub(crate) readable: Lsn,
    /// The log that is kept for us: there, or on the relay, whichever is more.
    pub(crate) kept_bytes: u64,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        plan: &'a Plan,
        control: Control,
        observer: &'a dyn Observer,
        cancel: CancellationToken,
        pulse: Pulse,
    ) -> Self {
        Run {
            plan,
            control,
            observer,
            cancel,
            pulse,
            log_budget: LogBudget::new(plan.budget, observer),
            changed: Arc::default(),
            inventory: None,
        }
    }

    /// Both servers answered.
    pub(crate) fn beat(&self) {
        self.pulse.beat();
    }

    /// Whether the target is a physical standby still: nothing of ours can be on it.
    pub(crate) fn is_over_standby(&self) -> bool {
        self.plan.route.replica().is_some() && self.control.is_in_file()
    }

    /// The direction in which changes flow.
    pub(crate) fn way(&self) -> Way {
        self.control.state().way()
    }

    /// A session on one of the two servers.
    pub(crate) async fn connect(&self, side: Side, purpose: &str) -> Result<Session, Error> {
        let session = Session::connect(self.plan.server(side), purpose).await;
        Ok(session.on(side, format!("connecting ({purpose})"))?)
    }

    /// A session on the server from which a side's changes are read.
    pub(crate) async fn connect_reading(
        &self,
        side: Side,
        purpose: &str,
    ) -> Result<Session, Error> {
        match self.plan.relay_of(side) {
            Some(relay) => relay::connect(&relay.server, purpose).await,
            None => self.connect(side, purpose).await,
        }
    }

    /// What is followed, as the journal records it.
    pub(crate) fn leg(&self) -> Result<&Leg, Error> {
        let state = self.control.state();
        state.leg.as_ref().ok_or_else(|| match state.phase.way() {
            Way::There if state.legs > 0 => Error::Refused {
                why: "nothing is followed: the rollback was made with `way_back = \"none\"`"
                    .to_owned(),
                hint: "`trunkline abort` ends the migration; begin it anew to move again"
                    .to_owned(),
            },
            Way::There => Error::Journal {
                why: "it holds no record of the slot".to_owned(),
            },
            Way::Back => Error::Refused {
                why: "there is no way back: the cutover was made without one".to_owned(),
                hint: "`trunkline complete` ends the migration".to_owned(),
            },
        })
    }

    /// The publications of a leg: the administrator's, or those that the journal records.
    pub(crate) fn publications(&self, leg: &Leg) -> Vec<String> {
        match &self.plan.publication {
            Some(name) if leg.way == Way::There => vec![name.clone()],
            _ => self.publications_named(&leg.slot.name),
        }
    }

    fn publications_named(&self, base: &str) -> Vec<String> {
        let receipts = &self.control.state().receipts;
        let insert_only = format!("{base}_i");
        let names = receipts.iter().filter_map(|object| match object {
            Object::Publication { name, .. } if *name == base || *name == insert_only => {
                Some(name.clone())
            }
            _ => None,
        });
        names.collect()
    }

    /// Whether the ledger says what was copied before the leg: not after a switch, and not
    /// where the first rows came with a physical copy.
    pub(crate) fn has_ledger(&self, leg: &Leg) -> bool {
        leg.number == 1 && !self.control.state().seeded
    }

    /// What the copy holds, as the ledger says. After a switch there was none: both sides
    /// agreed where the leg begins.
    pub(crate) async fn cover(&mut self, leg: &Leg) -> Result<CopyCover, Error> {
        if !self.has_ledger(leg) {
            return Ok(CopyCover::nothing_copied());
        }
        let ledger = trunkline_load::read_cover(self.control.session()?).await?;
        let mut cover = CopyCover::new();
        for (table, copied) in ledger {
            cover.insert(table, table_cover(copied));
        }
        Ok(cover)
    }

    /// The position of the side that changes come from, and whether the log that is kept for
    /// us is within budget: on that side, and on the relay.
    pub(crate) async fn look_at_source(
        &mut self,
        from: &mut Session,
        relay: Option<&mut Session>,
        leg: &Leg,
    ) -> Result<SourceLook, Error> {
        let look = answered(leg.way.from(), ask_source(self.plan, from, relay, leg)).await?;
        self.log_budget.keep(leg.way, look.kept_bytes)?;
        Ok(look)
    }

    /// Stops here if the operator asked for it.
    pub(crate) fn stop_if_cancelled(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Interrupted(self.control.state().phase));
        }
        Ok(())
    }

    /// Both servers answered.
    pub(crate) fn alive(&self) {
        self.pulse.beat();
    }

    /// When both servers last answered, as it goes on.
    pub(crate) fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Says that a step begins.
    pub(crate) fn step(&self, what: &str) {
        tracing::info!(step = what);
        self.observer.notice(Notice::Step(what));
    }
}

/// Questions that a server answers at once, or not at all: a network that swallows what is sent is
/// not found out for a quarter of an hour.
pub(crate) async fn answered<T>(
    side: Side,
    questions: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let asked = tokio::time::timeout(ANSWER_WITHIN, questions).await;
    asked.unwrap_or_else(|_| {
        let doing = "its answer".to_owned();
        Ok(Err(PgError::TimedOut { doing }).on(side, "asking how far it is")?)
    })
}

/// Looks at the side that changes come from, and at the relay.
pub(crate) async fn ask_source(
    plan: &Plan,
    from: &mut Session,
    relay: Option<&mut Session>,
    leg: &Leg,
) -> Result<SourceLook, Error> {
    let (side, doing) = (leg.way.from(), "reading the log's position");
    let look = match relay {
        Some(relay) => {
            let look = relay::look(relay, &leg.slot.name).await;
            let look = look.on(side, "looking at the relay")?;
            relay::refuse_promoted(&look)?;
            Some(look)
        }
        None => None,
    };
    // For the relay the source keeps what its physical slot needs.
    let slot = match &look {
        Some(look) => relay::physical_slot(plan, look).unwrap_or_default(),
        None => leg.slot.name.clone(),
    };
    let row = from
        .query_one(include_str!("sql/status_source.sql"), &[&slot])
        .await
        .on(side, doing)?;
    let position = row.get(0).on(side, doing)?;
    let kept: Option<u64> = row.get(1).on(side, doing)?;
    if look.is_none() {
        refuse_lost_slot(side, &slot, row.get(2).on(side, doing)?)?;
    }
    let on_relay = look.as_ref().and_then(|look| look.kept_bytes);
    Ok(SourceLook {
        position,
        readable: look.map_or(position, |look| look.replayed),
        kept_bytes: kept.max(on_relay).unwrap_or(0),
    })
}

/// Of a slot that is gone nothing is kept: that is not little.
fn refuse_lost_slot(side: Side, slot: &str, lost: Option<String>) -> Result<(), Error> {
    let Some(reason) = lost else {
        return Ok(());
    };
    let problem = match reason.as_str() {
        "gone" => SlotProblem::Gone,
        _ => SlotProblem::Invalidated { reason },
    };
    let slot = slot.to_owned();
    Err(CaptureError::Refused(SlotRefused {
        side,
        slot,
        problem,
    })
    .into())
}

fn table_cover(cover: Cover) -> TableCover {
    match cover {
        Cover::Whole(view) => TableCover::Whole(view),
        Cover::ByKey { column, ranges } => TableCover::ByKey {
            column,
            ranges: ranges
                .into_iter()
                .map(|range| KeyRange {
                    lower: range.low,
                    upper: range.high,
                    view: range.snapshot,
                })
                .collect(),
        },
    }
}

/// Whether a table's changes come through the stream: it holds rows itself, writes log, and
/// is not an extension's own.
pub fn is_streamed(table: &Table) -> bool {
    table.kind == TableKind::Ordinary
        && !table.unlogged
        && table.data
        && table.origin.extension_condition.is_none()
}
