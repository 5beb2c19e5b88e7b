//! The slot examined, both ends opened, and where the last run came to read back.

use std::path::Path;
use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_apply::{Applier, ApplyOptions, CopyCover};
use trunkline_capture::slot::SlotRecord;
use trunkline_capture::{BatchReader, Decoder, Feed, Mode, Thresholds, decide, lag, slot};
use trunkline_changes::Lsn;
use trunkline_postgres::Session;

use super::Stream;
use super::pace::Pace;
use super::recorded::{Recorded, recorded_position};
use crate::error::Error;
use crate::journal::{Leg, Object};
use crate::limits::{LINGER, PEEK_MESSAGES};
use crate::phases::{copying, ddl_log};
use crate::relay;
use crate::run::Run;
use crate::waiting;

impl Stream {
    /// Examines the slot and opens both ends.
    pub(crate) async fn open(run: &mut Run<'_>) -> Result<Stream, Error> {
        let leg = run.leg()?.clone();
        let cover = run.cover(&leg).await?;
        Stream::opened(run, leg, cover).await
    }

    /// The same from a position that somebody else came to: both sides agree up to there, so
    /// that every change after it counts, whatever was copied.
    pub(crate) async fn open_behind(run: &mut Run<'_>, position: Lsn) -> Result<Stream, Error> {
        let mut leg = run.leg()?.clone();
        leg.start = leg.start.max(position);
        Stream::opened(run, leg, CopyCover::nothing_copied()).await
    }

    /// The first commit of the end that writes may wait as any other does.
    async fn opened(run: &mut Run<'_>, leg: Leg, cover: CopyCover) -> Result<Stream, Error> {
        let (plan, observer) = (run.plan, run.observer);
        waiting::told(plan, observer, Stream::open_from(run, leg, cover)).await
    }

    async fn open_from(run: &mut Run<'_>, leg: Leg, cover: CopyCover) -> Result<Stream, Error> {
        let (from, to) = (leg.way.from(), leg.way.to());
        let ddl = ddl_log::options(run, &leg)?;
        refuse_another_decoder(run, &leg)?;
        let name = run.control.identity().name.clone();
        let mut receiver = run.connect(to, "follower").await?;
        let seen = recorded_position(&mut receiver, &name, &leg).await?;
        let read = run.plan.read_from(from);
        let record = slot_as_it_stands(run, &leg).await?;
        if let Err(refused) = slot::examine(read, from, &record, seen.position).await {
            // A relay that was promoted at this moment says more of it.
            slot_as_it_stands(run, &leg).await?;
            return Err(refused.into());
        }
        let feed = Feed {
            conninfo: read.clone(),
            side: from,
            slot: leg.slot.name.clone(),
            decoder: decoder(run, &leg),
        };
        let spill_folder = copying::folder(run)?;
        let mut source = run.connect(from, "watch").await?;
        let mut relay = match run.plan.relay_of(from) {
            Some(_) => Some(run.connect_reading(from, "watch").await?),
            None => None,
        };
        // The source decodes the first batch while the target's tables are looked at.
        let (batch, opened) = tokio::join!(
            far_behind(
                relay.as_mut().unwrap_or(&mut source),
                &feed,
                seen.position,
                &spill_folder
            ),
            open_writing(run, &leg, cover, &mut receiver)
        );
        let batch = batch?;
        let (mut applier, recorded) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // Told to stop, the source does not go on decoding for nobody.
                if let Some(batch) = batch {
                    batch.stop().await;
                }
                return Err(error);
            }
        };
        if let Some(ddl) = ddl {
            applier = applier.with_ddl(ddl);
        }
        let position = recorded.position.max(applier.applied());
        let (applied_feed, _) = watch::channel(applier.applied());
        run.beat();
        Ok(Stream {
            feed,
            leg,
            to: receiver,
            spill_folder,
            applier,
            source,
            relay,
            live: None,
            held: Vec::new(),
            batch,
            mode: Mode::Batch,
            position,
            confirmed: recorded.position,
            pending: false,
            inside: false,
            pace: Pace::new(),
            last_tick: None,
            last_durable: Instant::now(),
            last_idle_confirm: Instant::now(),
            last_advance: Instant::now(),
            rows_before: recorded.rows_applied,
            live_only: false,
            told: CancellationToken::new(),
            applied_feed,
            validation: None,
            differing_told: 0,
        })
    }
}

impl Stream {
    pub(super) async fn open_batch(&self) -> Result<BatchReader, Error> {
        open_batch(&self.feed, &self.spill_folder).await
    }
}

async fn open_batch(feed: &Feed, spill_folder: &Path) -> Result<BatchReader, Error> {
    let reader = BatchReader::open(feed.clone()).await?;
    Ok(reader.spilling_to(spill_folder.to_owned()).reading_ahead())
}

/// A reader whose first batch the server decodes already, if it is far ahead.
async fn far_behind(
    read: &mut Session,
    feed: &Feed,
    position: Lsn,
    spill_folder: &Path,
) -> Result<Option<BatchReader>, Error> {
    let behind = lag(read, position).await;
    // Its rate is not known yet: what is near by bytes may be nearer still by time.
    if decide(Mode::Live, behind, Thresholds::default()) == Mode::Live {
        return Ok(None);
    }
    let mut reader = open_batch(feed, spill_folder).await?;
    reader.begin_ahead(PEEK_MESSAGES).await?;
    Ok(Some(reader))
}

/// The end that writes, and how far earlier runs came. What was seen of that before may be a
/// commit that a crash took back since. An applier has waited for the disk when it is open, and
/// `receiver` has lived since before: what it reads now stays.
async fn open_writing(
    run: &mut Run<'_>,
    leg: &Leg,
    cover: CopyCover,
    receiver: &mut Session,
) -> Result<(Applier, Recorded), Error> {
    let name = run.control.identity().name.clone();
    let applier = open_applier(run, leg, cover).await?;
    match recorded_position(receiver, &name, leg).await {
        Ok(recorded) => Ok((applier, recorded)),
        Err(error) => {
            applier.close().await;
            Err(error)
        }
    }
}

async fn open_applier(run: &mut Run<'_>, leg: &Leg, cover: CopyCover) -> Result<Applier, Error> {
    let to = leg.way.to();
    let options = ApplyOptions {
        migration: run.control.identity().name.clone(),
        side: to,
        start: leg.start,
        cover,
        tables: run.table_map(leg).await?,
        policy: run.plan.conflict,
        linger: LINGER,
    };
    let applier = Applier::open(run.plan.server(to), options).await;
    applier.map_err(|cause| Error::Apply { to, cause })
}

/// What a leg's slot is read with.
pub(crate) fn decoder(run: &Run<'_>, leg: &Leg) -> Decoder {
    match &leg.streamed {
        Some(tables) => Decoder::TestDecoding {
            tables: tables.clone(),
        },
        None => Decoder::Pgoutput {
            publications: run.publications(leg),
        },
    }
}

/// A slot keeps its plugin for life, and with it what the migration knows of the tables.
fn refuse_another_decoder(run: &Run<'_>, leg: &Leg) -> Result<(), Error> {
    let planned = run.plan.decoder(leg.way).name();
    let recorded = &leg.slot.plugin;
    if recorded == planned {
        return Ok(());
    }
    Err(Error::Refused {
        why: format!(
            "the migration was begun with {recorded} as its decoder, and the plan says {planned}"
        ),
        hint: format!(
            "set `decoder = \"{recorded}\"` in the plan's [stream]; or abort and start again"
        ),
    })
}

/// The record of a leg's slot. One on a relay stays good when the relay follows its source to
/// another timeline; one that the plan does not lead to cannot be looked at.
async fn slot_as_it_stands(run: &Run<'_>, leg: &Leg) -> Result<SlotRecord, Error> {
    let mut record = leg.slot.clone();
    let name = record.name.clone();
    let on_relay = Object::RelaySlot { name };
    let is_on_relay = run.control.state().receipts.contains(&on_relay);
    match run.plan.relay_of(leg.way.from()) {
        Some(relay) if is_on_relay => {
            let timeline = relay::follows_the_source(run.plan, &relay.server).await?;
            if timeline != record.timeline {
                tracing::warn!(
                    before = record.timeline,
                    now = timeline,
                    "the source failed over, and the relay follows it"
                );
                record.timeline = timeline;
            }
            Ok(record)
        }
        None if !is_on_relay => Ok(record),
        Some(_) => Err(Error::Refused {
            why: "the migration was begun without a relay: its slot stands on the source"
                .to_owned(),
            hint: "take [relay] out of the plan; or `trunkline abort` and begin anew".to_owned(),
        }),
        None => Err(Error::Refused {
            why: "the migration's slot stands on a relay, and the plan names none".to_owned(),
            hint: "put [relay] back into the plan; without it the migration can only be ended"
                .to_owned(),
        }),
    }
}
