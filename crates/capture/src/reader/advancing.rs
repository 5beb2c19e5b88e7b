//! The slot moved on, to what is durable on the other side.

use super::ReadPosition;
use super::batch::BatchReader;
use crate::busy_slot::BusySlot;
use crate::error::CaptureError;
use crate::limits::SLOT_BUSY_DEADLINE;
use trunkline_changes::Lsn;
use trunkline_postgres::Session;

impl BatchReader {
    /// The session that moves the slot: another than the one that reads ahead.
    async fn moving_session(&mut self) -> Result<Session, CaptureError> {
        let Some(ahead) = &mut self.ahead else {
            self.abandon().await;
            return self.session().await;
        };
        match ahead.mover.take().filter(|session| !session.is_broken()) {
            Some(session) => Ok(session),
            None => self.connect().await,
        }
    }

    /// Moves the slot to what is durable on the other side: the end of a commit. Gives where
    /// it stands, which is never beyond. Not while a peek runs: that is given up, unless it
    /// is one that reads ahead.
    pub async fn advance(&mut self, durable: Lsn) -> Result<Lsn, CaptureError> {
        let mut session = self.moving_session().await?;
        let mut busy = BusySlot::new(SLOT_BUSY_DEADLINE);
        let reached: Option<Lsn> = loop {
            let sql = include_str!("../../sql/advance.sql");
            let answer = session.query_one(sql, &[&self.feed.slot, &durable]).await;
            match answer.and_then(|row| row.get(0)) {
                Ok(reached) => break reached,
                Err(cause) => match busy.pause(&cause) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(self.feed.fault("advancing the slot", cause).into()),
                },
            }
        };
        match &mut self.ahead {
            Some(ahead) => ahead.mover = Some(session),
            None => self.session = Some(session),
        }
        match reached {
            Some(reached) if reached > durable => Err(CaptureError::Overshot {
                side: self.feed.side,
                slot: self.feed.slot.clone(),
                asked: durable,
                reached,
            }),
            reached => Ok(reached.unwrap_or(durable)),
        }
    }

    /// As [`BatchReader::advance`], for a position with nothing before it that is not durable.
    pub async fn advance_read(&mut self, position: ReadPosition) -> Result<Lsn, CaptureError> {
        self.advance(position.lsn()).await
    }
}
