//! Who carries the changes: Trunkline's own stream, or a subscription of the target. The
//! phases speak of either in the same words.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_changes::{Lsn, Side};
use trunkline_postgres::{OnSide, Session};

use super::native::Native;
use super::{Goal, Reached, Stream};
use crate::error::Error;
use crate::journal::Leg;
use crate::phase::Phase;
use crate::run::Run;
use crate::subscription;
use crate::validation::{Changed, Counted};

/// Changes flow, in one direction.
pub(crate) enum Follow {
    /// Capture and apply of our own.
    Stream(Box<Stream>),
    /// A subscription of the target, watched.
    Native(Box<Native>),
}

impl Follow {
    /// Opens what the journal says is followed.
    pub(crate) async fn open(run: &mut Run<'_>) -> Result<Follow, Error> {
        let Some(name) = run.control.state().subscription().map(str::to_owned) else {
            refuse_another_route(run)?;
            return Ok(Follow::Stream(Box::new(Stream::open(run).await?)));
        };
        let leg = run.leg()?.clone();
        if leg.number > 1 {
            // It would carry back to the target what flows to the source.
            return Err(Error::Refused {
                why: format!("the subscription {name} of the target still stands"),
                hint: "once both servers answer, `trunkline run` drops it and goes on".to_owned(),
            });
        }
        match subscription::standing(run).await? {
            Some(name) => {
                let native = Native::open(run, leg, name).await?;
                Ok(Follow::Native(Box::new(native)))
            }
            // Its intent is written, and it is not made yet.
            None if run.control.state().phase == Phase::Loaded => {
                Ok(Follow::Stream(Box::new(Stream::open(run).await?)))
            }
            None => Err(subscription::gone(&name)),
        }
    }

    /// Whether a subscription carries the changes.
    pub(crate) fn is_native(&self) -> bool {
        matches!(self, Follow::Native(_))
    }

    /// What is followed.
    pub(crate) fn leg(&self) -> &Leg {
        match self {
            Follow::Stream(stream) => stream.leg(),
            Follow::Native(native) => native.leg(),
        }
    }

    /// The last position committed on the side that changes go to.
    pub(crate) fn applied(&self) -> Lsn {
        match self {
            Follow::Stream(stream) => stream.applied(),
            Follow::Native(native) => native.applied(),
        }
    }

    /// The position as the other side itself holds it: not what we think we wrote.
    pub(crate) async fn read_back(&self, run: &Run<'_>, to: &mut Session) -> Result<Lsn, Error> {
        match self {
            Follow::Stream(stream) => {
                let side = stream.leg().way.to();
                let progress = trunkline_apply::read_progress(to, &run.control.identity().name);
                let progress = progress.await.on(side, "reading the position back")?;
                Ok(progress.map_or(Lsn::ZERO, |progress| progress.applied))
            }
            Follow::Native(native) => native.read_back(to).await,
        }
    }

    /// The watching session on the side that changes come from: it stays open through its
    /// fence.
    pub(crate) fn from(&mut self) -> &mut Session {
        match self {
            Follow::Stream(stream) => stream.from(),
            Follow::Native(native) => native.from(),
        }
    }

    /// Lets changes flow until the goal is reached or somebody else wants the migration.
    pub(crate) async fn until(&mut self, run: &mut Run<'_>, goal: Goal) -> Result<Reached, Error> {
        match self {
            Follow::Stream(stream) => stream.until(run, goal).await,
            Follow::Native(native) => native.until(run, goal).await,
        }
    }

    /// Nothing is applied until somebody follows again: [`Goal::Before`] can only be reached
    /// from before it. Our own stream applies only while it is asked to.
    pub(crate) async fn hold_still(&mut self, run: &Run<'_>) -> Result<(), Error> {
        match self {
            Follow::Stream(_) => Ok(()),
            Follow::Native(native) => native.bring_to_rest(run).await,
        }
    }

    /// Stays with the stream that is open, for as long as the source is fenced.
    pub(crate) fn stay_live(&mut self) {
        if let Follow::Stream(stream) = self {
            stream.stay_live();
        }
    }

    /// A number that grows with every change of a row that came, whatever became of it.
    pub(crate) fn changes_seen(&self) -> u64 {
        match self {
            Follow::Stream(stream) => stream.changes_seen(),
            Follow::Native(native) => native.changes_seen(),
        }
    }

    /// The last position committed, for those who wait for one.
    pub(crate) fn applied_feed(&self) -> watch::Receiver<Lsn> {
        match self {
            Follow::Stream(stream) => stream.applied_feed(),
            Follow::Native(native) => native.applied_feed(),
        }
    }

    /// A new token that ends [`Goal::Told`] and [`Goal::Validated`].
    pub(crate) fn told_anew(&mut self) -> CancellationToken {
        let told = CancellationToken::new();
        match self {
            Follow::Stream(stream) => stream.told = told.clone(),
            Follow::Native(native) => native.told = told.clone(),
        }
        told
    }

    /// From now on validation hears of every change. A subscription names none.
    pub(crate) fn note_changes(&mut self, changed: Arc<Changed>, progress: Arc<Counted>) {
        if let Follow::Stream(stream) = self {
            stream.note_changes(changed, progress);
        }
    }

    /// After the last look, before the point of no return: nothing more is brought to the side
    /// that is to serve. Our own stream ends with its process; a subscription would go on.
    pub(crate) async fn fall_silent(&mut self, to: &mut Session) -> Result<(), Error> {
        match self {
            Follow::Stream(_) => Ok(()),
            Follow::Native(native) => {
                native.rests();
                subscription::disable(to, native.name()).await
            }
        }
    }

    /// Ends in an orderly way; a subscription goes on by itself, or rests if it does.
    pub(crate) async fn close(self, run: &mut Run<'_>) -> Result<(), Error> {
        match self {
            Follow::Stream(stream) => stream.close(run).await,
            Follow::Native(native) => native.close(run).await,
        }
    }

    /// The same, and no change is applied until somebody follows again.
    pub(crate) async fn close_at_rest(mut self, run: &mut Run<'_>) -> Result<(), Error> {
        self.hold_still(run).await?;
        if let Follow::Native(native) = &mut self {
            native.rests();
        }
        self.close(run).await
    }
}

/// A migration that follows by our own stream does not change its route on the way.
fn refuse_another_route(run: &Run<'_>) -> Result<(), Error> {
    let state = run.control.state();
    let follows = matches!(state.phase, Phase::Following | Phase::Verified);
    let first = state.leg.as_ref().is_some_and(|leg| leg.number == 1);
    if !follows || !first || run.plan.route.subscription().is_none() {
        return Ok(());
    }
    Err(Error::Refused {
        why: "the migration was begun by the stream route, and the plan says subscription"
            .to_owned(),
        hint: "put `route = \"stream\"` into the plan; or abort, and start again".to_owned(),
    })
}

/// The side of a subscription's slot and of its rows never change: it is of the first leg.
pub(super) const SIDES: (Side, Side) = (Side::Source, Side::Target);
