//! The journal while a rollback may close the target: it goes on on the source, which holds
//! a copy of it from its beginning, because nobody could read it on a closed database.
//!
//! Holds always: the entry [`Entry::GoneAway`] is on both sides before the first entry is on
//! the source alone, and the target's journal gets what it misses, in one transaction with
//! [`Entry::CameHome`], before anything is written there again. A rollback's point of no
//! return is thereby a commit on the server that serves from then on, as a cutover's is.

use trunkline_changes::Side;
use trunkline_postgres::{Conninfo, OnSide, PgError, Session};

use super::rows::{append, entries, write};
use super::{Claim, Control, Entry, Identity, State, end_lost, find, holder, take_lock};
use crate::error::Error;
use crate::fence::FenceBefore;
use crate::limits::{CANCEL_WITHIN, HAND_OVER_WITHIN};

/// The journal's place on the source.
pub(crate) struct Away {
    session: Session,
    source: Conninfo,
    /// Whether the session has the lock.
    holds: bool,
}

impl Away {
    /// Where the journal goes on from now on, held.
    async fn open(source: &Conninfo, name: &str) -> Result<Away, Error> {
        let mut away = Away {
            session: connect(source).await?,
            source: source.clone(),
            holds: false,
        };
        away.hold(name).await?;
        Ok(away)
    }

    async fn hold(&mut self, name: &str) -> Result<(), Error> {
        if !self.holds {
            let claim = Claim::HandedOver(HAND_OVER_WITHIN);
            take_lock(&mut self.session, Side::Source, name, claim).await?;
            self.holds = true;
        }
        Ok(())
    }

    async fn mend(&mut self, name: &str) -> Result<(State, i64), Error> {
        if self.session.is_broken() {
            self.holds = false;
            let cancel = self.session.canceller();
            let _sent = tokio::time::timeout(CANCEL_WITHIN, cancel.cancel()).await;
            // The old session has the lock until its socket closes: it goes first.
            self.session = connect(&self.source).await?;
            end_lost(&mut self.session, Side::Source, name, cancel.process_id()).await?;
        }
        self.hold(name).await?;
        replay(&mut self.session, name).await
    }

    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Control {
    /// The journal goes on on the source from here. Its schema `trunkline` must be there.
    pub(crate) async fn go_away(
        &mut self,
        source: &Conninfo,
        before: FenceBefore,
    ) -> Result<(), Error> {
        let name = self.identity.name.clone();
        let mut away = Away::open(source, &name).await?;
        let known = entries(self.session()?, Side::Target, &name, 0).await?;
        let doing = "copying the journal to the source";
        copy(&mut away.session, &self.identity, &known)
            .await
            .on(Side::Source, doing)?;
        let gone = Entry::GoneAway(before);
        write(&mut away.session, Side::Source, &name, self.length, &gone).await?;
        self.record(gone).await?;
        self.away = Some(away);
        Ok(())
    }

    /// What was written on the source meanwhile is written on the target too, where the
    /// journal goes on.
    pub(crate) async fn come_home(&mut self) -> Result<(), Error> {
        let Some(mut away) = self.away.take() else {
            return Ok(());
        };
        let brought = self.bring_home(&mut away).await;
        if brought.is_err() {
            self.away = Some(away);
        } else {
            away.session.close().await;
        }
        brought
    }

    /// The source is gone for good, and what the journal says there with it: it goes on here,
    /// as if nothing had been written there. The operator's word decides that.
    pub(crate) async fn stay_home(&mut self) -> Result<(), Error> {
        self.away = None;
        if self.state.away {
            self.record(Entry::CameHome).await?;
        }
        Ok(())
    }

    async fn bring_home(&mut self, away: &mut Away) -> Result<(), Error> {
        self.mend_session().await?;
        let (name, doing) = (self.identity.name.clone(), "bringing the journal home");
        let (mut state, length) = super::rows::replay(self.session()?, &name).await?;
        let missing = entries(&mut away.session, Side::Source, &name, length).await?;
        let reached = append(&mut state, length, &missing)?;
        let home = Entry::CameHome;
        state.apply(&home)?;
        let text = serde_json::to_string(&home).map_err(|error| Error::internal(&error))?;
        let mut all = missing;
        all.push((reached, text));
        insert(self.session()?, &name, &all)
            .await
            .on(Side::Target, doing)?;
        self.state = state;
        self.length = reached + 1;
        // What is left of it says nothing any more; the next rollback writes it anew.
        let emptied = away
            .session
            .execute(
                "DELETE FROM trunkline.journal WHERE migration = $1",
                &[&name],
            )
            .await;
        if let Err(error) = emptied {
            tracing::warn!(%error, "the journal's copy on the source stays");
        }
        Ok(())
    }

    /// For a journal that a command which died left on the source: reads on there.
    pub(crate) async fn follow_away(&mut self, source: &Conninfo) -> Result<(), Error> {
        if !self.state.away {
            return Ok(());
        }
        let away = Away::open(source, &self.identity.name).await?;
        self.away = Some(away);
        self.come_home().await
    }

    /// While away: connects to the source again where that is needed, and reads what the
    /// journal says there.
    pub(super) async fn mend_away(&mut self) -> Result<(), Error> {
        if let Some(away) = &mut self.away {
            (self.state, self.length) = away.mend(&self.identity.name).await?;
        }
        Ok(())
    }
}

/// Reads the journal that went to the source, while the target takes no connection, and
/// holds it: `None` where there is none. A rollback that is behind its fence is waited for.
pub(crate) async fn claim(
    source: &Conninfo,
    name: &str,
    claim: Claim,
) -> Result<Option<(Session, State)>, Error> {
    let mut session = connect(source).await?;
    if !has_journal(&mut session).await? {
        return Ok(None);
    }
    if find(&mut session, Side::Source, name).await?.is_none() {
        return Ok(None);
    }
    let patience = claim.patience().unwrap_or_default().max(HAND_OVER_WITHIN);
    let claim = Claim::HandedOver(patience);
    take_lock(&mut session, Side::Source, name, claim).await?;
    let (state, _) = replay(&mut session, name).await?;
    Ok(state.away.then_some((session, state)))
}

/// A journal that went to the source, as somebody sees it who does not hold it.
pub(crate) struct Peeked {
    pub(crate) identity: Identity,
    pub(crate) state: State,
    /// Whether a process works on it.
    pub(crate) held: bool,
}

/// Reads the journal that went to the source without holding it.
pub(crate) async fn peek(source: &Conninfo, name: &str) -> Result<Option<Peeked>, Error> {
    let mut session = connect(source).await?;
    if !has_journal(&mut session).await? {
        return Ok(None);
    }
    let Some(identity) = find(&mut session, Side::Source, name).await? else {
        return Ok(None);
    };
    let (state, _) = replay(&mut session, name).await?;
    let held = holder(&mut session, Side::Source, name).await?.is_some();
    session.close().await;
    Ok(state.away.then_some(Peeked {
        identity,
        state,
        held,
    }))
}

async fn has_journal(session: &mut Session) -> Result<bool, Error> {
    let row = session
        .query_one(
            "SELECT pg_catalog.to_regclass('trunkline.journal') IS NOT NULL",
            &[],
        )
        .await;
    let doing = "looking for the journal";
    Ok(row.and_then(|row| row.get(0)).on(Side::Source, doing)?)
}

async fn connect(source: &Conninfo) -> Result<Session, Error> {
    let session = Session::connect(source, "control").await;
    Ok(session.on(Side::Source, "opening the journal on the source")?)
}

async fn replay(session: &mut Session, name: &str) -> Result<(State, i64), Error> {
    let mut state = State::new();
    let found = entries(session, Side::Source, name, 0).await?;
    let length = append(&mut state, 0, &found)?;
    Ok((state, length))
}

/// Makes the source's copy what the target has.
async fn copy(
    session: &mut Session,
    identity: &Identity,
    known: &[(i64, String)],
) -> Result<(), PgError> {
    session.batch("BEGIN").await?;
    for table in ["journal", "migration"] {
        let column = if table == "journal" {
            "migration"
        } else {
            "name"
        };
        let sql = format!("DELETE FROM trunkline.{table} WHERE {column} = $1");
        session.execute(&sql, &[&identity.name]).await?;
    }
    session
        .execute(
            "INSERT INTO trunkline.migration (name, id, format) VALUES ($1, $2, $3::integer)",
            &[&identity.name, &identity.id, &crate::journal::FORMAT],
        )
        .await?;
    append_rows(session, &identity.name, known).await?;
    session.batch("COMMIT").await.map(drop)
}

async fn insert(session: &mut Session, name: &str, rows: &[(i64, String)]) -> Result<(), PgError> {
    session.batch("BEGIN").await?;
    append_rows(session, name, rows).await?;
    session.batch("COMMIT").await.map(drop)
}

pub(super) async fn append_rows(
    session: &mut Session,
    name: &str,
    rows: &[(i64, String)],
) -> Result<(), PgError> {
    let (numbers, texts): (Vec<i64>, Vec<String>) = rows.iter().cloned().unzip();
    session
        .execute(
            "INSERT INTO trunkline.journal (migration, seq, entry) \
             SELECT $1::text, seq, entry::jsonb \
             FROM unnest($2::bigint[], $3::text[]) AS row(seq, entry)",
            &[&name, &numbers, &texts],
        )
        .await
        .map(drop)
}
