//! The control schema `trunkline` on the target: the journal, and who holds the migration.
//! Holds always: nothing is written without the migration's advisory lock, which goes with
//! the session of whoever held it. While a rollback may close the target, the journal goes
//! on on the source: see [`away`]. Before the target can be written it is a file: see [`file`].

pub(crate) mod away;
pub(crate) mod file;
mod lock;
mod looking;
mod moving_in;
mod rows;

use std::time::Duration;

use trunkline_changes::Side;
use trunkline_postgres::{Conninfo, Fault, OnSide, Session};

use crate::error::Error;
use crate::journal::{Entry, FORMAT, State};
use crate::limits::{CANCEL_WITHIN, HAND_OVER_WITHIN, RECONNECT_FOR};
use crate::phase::Event;
use lock::{end_lost, holder, take_lock};
pub(crate) use looking::{peek, schema_exists};
use rows::{replay, write};

/// Every table of ours on the target.
fn tables_sql() -> String {
    [
        include_str!("sql/control.sql"),
        trunkline_load::TABLES_SQL,
        trunkline_apply::TABLES_SQL,
    ]
    .join("\n")
}

/// Who a migration is, as the target records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The plan's name.
    pub(crate) name: String,
    /// Eight hexadecimal digits, part of every name that we give to an object.
    pub(crate) id: String,
}

impl Identity {
    /// The name of a leg's slot and publication: ours alone, and within PostgreSQL's 63 bytes
    /// of lower-case letters, digits and underscores, with room for two more.
    pub(crate) fn object_name(&self, leg: u32) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        };
        let name: String = self.name.chars().map(plain).take(36).collect();
        match leg {
            1 => format!("trunkline_{name}_{}", self.id),
            _ => format!("trunkline_{name}_{}_{leg}", self.id),
        }
    }
}

/// Where a migration's journal is written.
enum Place {
    /// In the schema `trunkline` on the target.
    Target(Box<Session>),
    /// In the migration's folder: the target cannot be written yet.
    File(file::FileJournal),
}

/// The journal of one migration, held.
pub(crate) struct Control {
    place: Place,
    target: Conninfo,
    identity: Identity,
    state: State,
    /// Entries replayed or written: the next one's number.
    length: i64,
    /// Whether the session has the lock, and the journal was replayed with it.
    holds: bool,
    /// Where the journal goes on while a rollback may close the target.
    away: Option<away::Away>,
}

/// How a command asks for a migration that somebody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Refuse at once.
    Now,
    /// Ask the holder to hand over, and wait this long.
    HandedOver(Duration),
    /// It was ours: the session of this process of the target was lost, and may not know it.
    Lost(i32),
}

impl Claim {
    /// How long the holder is waited for, where it is.
    fn patience(self) -> Option<Duration> {
        match self {
            Claim::Now => None,
            Claim::HandedOver(patience) => Some(patience),
            Claim::Lost(_) => Some(RECONNECT_FOR),
        }
    }
}

impl Control {
    /// Connects, makes the control schema where it is missing, takes the migration's lock
    /// and replays its journal. `begin` allows a migration that does not exist yet.
    pub(crate) async fn open(
        target: &Conninfo,
        name: &str,
        claim: Claim,
        begin: bool,
    ) -> Result<Control, Error> {
        let doing = "opening the control schema";
        let mut session = Session::connect(target, "control")
            .await
            .on(Side::Target, doing)?;
        if !begin && !schema_exists(&mut session).await? {
            return Err(Error::no_such_migration(name));
        }
        take_lock(&mut session, Side::Target, name, claim).await?;
        // Under the lock: whoever held it may just have removed the schema.
        if begin {
            create_schema(&mut session).await?;
        } else if !schema_exists(&mut session).await? {
            return Err(Error::no_such_migration(name));
        }
        let identity = find_or_begin(&mut session, name, begin).await?;
        let mut control = Control {
            place: Place::Target(Box::new(session)),
            target: target.clone(),
            identity,
            state: State::new(),
            length: 0,
            holds: true,
            away: None,
        };
        control.replay().await?;
        Ok(control)
    }

    /// The migration's name and id.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where the migration stands.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The session on the target, for reads and for what must commit apart from rows.
    pub(crate) fn session(&mut self) -> Result<&mut Session, Error> {
        match &mut self.place {
            Place::Target(session) => Ok(session),
            Place::File(_) => Err(Error::internal(
                &"the journal is a file, and nothing can be written on the target yet",
            )),
        }
    }

    /// Whether the journal is a file still.
    pub(crate) fn is_in_file(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    async fn replay(&mut self) -> Result<(), Error> {
        let name = self.identity.name.clone();
        let (state, length) = replay(self.session()?, &name).await?;
        self.state = state;
        self.length = length;
        Ok(())
    }

    /// Writes an entry, durably, and moves the state.
    pub(crate) async fn record(&mut self, entry: Entry) -> Result<(), Error> {
        let mut next = self.state.clone();
        next.apply(&entry)?;
        let name = &self.identity.name;
        match (&mut self.away, &mut self.place) {
            (Some(away), _) => {
                write(away.session(), Side::Source, name, self.length, &entry).await?;
            }
            (None, Place::Target(session)) => {
                write(session, Side::Target, name, self.length, &entry).await?;
            }
            (None, Place::File(file)) => file.append(&entry)?,
        }
        self.state = next;
        self.length += 1;
        Ok(())
    }

    /// Where the connection is gone or was left in the middle of a statement: ends that,
    /// connects and takes the lock again, and reads what the journal says by now.
    pub(crate) async fn mend(&mut self) -> Result<(), Error> {
        if self.away.is_some() {
            return self.mend_away().await;
        }
        self.mend_session().await
    }

    /// The same for the session on the target.
    async fn mend_session(&mut self) -> Result<(), Error> {
        let session = match &mut self.place {
            Place::Target(session) => session,
            Place::File(_) => return self.read_file_again(),
        };
        if session.is_broken() {
            self.holds = false;
            // The old session has the lock until its statement ends and its socket closes.
            let cancel = session.canceller();
            let _sent = tokio::time::timeout(CANCEL_WITHIN, cancel.cancel()).await;
            let doing = "opening the control schema again";
            let again = Session::connect(&self.target, "control").await;
            **session = again.on(Side::Target, doing)?;
            let lost = cancel.process_id();
            end_lost(session, Side::Target, &self.identity.name, lost).await?;
        }
        if self.holds {
            return Ok(());
        }
        let claim = Claim::HandedOver(HAND_OVER_WITHIN);
        take_lock(session, Side::Target, &self.identity.name, claim).await?;
        self.replay_again().await?;
        self.holds = true;
        Ok(())
    }

    /// Writes that the migration moved.
    pub(crate) async fn moved(&mut self, event: Event) -> Result<(), Error> {
        tracing::info!(?event, "the migration moves");
        self.record(Entry::Moved(event)).await
    }

    /// Whether somebody asks us to hand the migration over.
    pub(crate) async fn is_wanted(&mut self) -> Result<bool, Error> {
        let session = match &mut self.place {
            Place::Target(session) => session,
            Place::File(file) => return file.is_wanted(),
        };
        let waiting = session
            .query(include_str!("sql/lock_waiters.sql"), &[&self.identity.name])
            .await
            .on(Side::Target, "looking for commands that wait")?;
        Ok(!waiting.is_empty())
    }

    /// Gives the lock to whoever waits for it, waits until they are done, and replays what
    /// they wrote; on the source, too, if they died in a rollback.
    pub(crate) async fn hand_over(&mut self, source: &Conninfo) -> Result<(), Error> {
        let doing = "handing the migration over";
        let session = match &mut self.place {
            Place::Target(session) => session,
            Place::File(_) => return self.hand_over_file(source).await,
        };
        let name = &self.identity.name;
        let release = include_str!("sql/lock_release.sql");
        session
            .query(release, &[name])
            .await
            .on(Side::Target, doing)?;
        let take = include_str!("sql/lock_take.sql");
        session.query(take, &[name]).await.on(Side::Target, doing)?;
        self.replay_again().await?;
        self.follow_away(source).await
    }

    /// Replays what was written while somebody else may have had the migration.
    async fn replay_again(&mut self) -> Result<(), Error> {
        let (ours, session) = (self.identity.clone(), self.session()?);
        if !schema_exists(session).await? {
            return Err(Error::Ended);
        }
        if find(session, Side::Target, &ours.name).await? != Some(ours) {
            return Err(Error::Ended);
        }
        self.replay().await
    }

    /// Lets the migration go, for a journal that is removed with the server that it is on.
    pub(crate) async fn close(self) {
        if let Place::Target(session) = self.place {
            session.close().await;
        }
    }

    /// Removes the journal, with the control schema: the last act of a migration.
    pub(crate) async fn erase(self) -> Result<(), Error> {
        let mut session = match self.place {
            Place::Target(session) => session,
            Place::File(file) => return file.remove(),
        };
        let doing = "removing the control schema";
        let remove = include_str!("sql/records_remove.sql");
        session.batch(remove).await.on(Side::Target, doing)?;
        session.close().await;
        Ok(())
    }
}

async fn create_schema(session: &mut Session) -> Result<(), Fault> {
    if schema_exists(session).await? {
        return Ok(());
    }
    make_tables(session, Side::Target).await
}

/// Makes the schema `trunkline` with every table of ours, where it is missing.
pub(crate) async fn make_tables(session: &mut Session, side: Side) -> Result<(), Fault> {
    let made = session.batch(&tables_sql()).await;
    made.on(side, "making the schema trunkline")?;
    Ok(())
}

async fn find(session: &mut Session, side: Side, name: &str) -> Result<Option<Identity>, Error> {
    let doing = "reading the migration's record";
    let row = session
        .query_opt(
            "SELECT id, format FROM trunkline.migration WHERE name = $1",
            &[&name],
        )
        .await
        .on(side, doing)?;
    let Some(row) = row else { return Ok(None) };
    let format: i32 = row.get(1).on(side, doing)?;
    if format != FORMAT {
        return Err(Error::Journal {
            why: format!("its format is {format}, and this program writes format {FORMAT}"),
        });
    }
    Ok(Some(Identity {
        name: name.to_owned(),
        id: row.get(0).on(side, doing)?,
    }))
}

async fn find_or_begin(session: &mut Session, name: &str, begin: bool) -> Result<Identity, Error> {
    if let Some(identity) = find(session, Side::Target, name).await? {
        return Ok(identity);
    }
    if !begin {
        return Err(Error::no_such_migration(name));
    }
    refuse_another(session, name).await?;
    let identity = Identity {
        name: name.to_owned(),
        id: format!("{:08x}", fastrand::u32(..)),
    };
    session
        .execute(
            "INSERT INTO trunkline.migration (name, id, format) VALUES ($1, $2, $3::integer)",
            &[&identity.name, &identity.id, &FORMAT],
        )
        .await
        .on(Side::Target, "recording the migration")?;
    Ok(identity)
}

/// A target database takes one migration at a time: what the ledger says of a table must
/// have one meaning.
async fn refuse_another(session: &mut Session, name: &str) -> Result<(), Error> {
    let doing = "looking for other migrations";
    let other = session
        .query_opt("SELECT name FROM trunkline.migration", &[])
        .await;
    let Some(row) = other.on(Side::Target, doing)? else {
        return Ok(());
    };
    let other: String = row.get(0).on(Side::Target, doing)?;
    Err(Error::Refused {
        why: format!("the target belongs to the migration `{other}`, and this one is `{name}`"),
        hint: format!("finish it, or give it up with `trunkline abort --name {other}`"),
    })
}
