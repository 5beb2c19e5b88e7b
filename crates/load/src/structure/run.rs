//! Runs entries on the target. Each goes as one message, hence one transaction, together
//! with the row that records it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trunkline_changes::Side;
use trunkline_postgres::{Backoff, Conninfo, Fault, OnSide, PgError, Session, SqlState};

use super::entry::Entry;
use super::options::without_multirange;
use super::record::{self, Key};
use crate::error::LoadError;
use crate::retrying::pauses;

/// How an entry ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It stands.
    Made,
    /// The target refused, and the entry is of a kind that may be missing.
    GivenUp(String),
}

/// How long the server may take to stop a statement before its session is given up.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// A session to the target that makes objects, connects again when it must, and cancels
/// what it is doing on the server when it is told to stop.
pub(crate) struct Runner {
    target: Conninfo,
    purpose: &'static str,
    settings: String,
    session: Option<Session>,
    cancel: CancellationToken,
    partial: bool,
}

impl Runner {
    /// `settings` are run on each new session.
    pub(crate) fn new(
        target: &Conninfo,
        purpose: &'static str,
        settings: String,
        cancel: &CancellationToken,
    ) -> Self {
        Runner {
            target: target.clone(),
            purpose,
            settings,
            session: None,
            cancel: cancel.clone(),
            partial: false,
        }
    }

    /// With a structure that lacks tables which the role may not read, what turns out to
    /// need them is given up.
    #[must_use]
    pub(crate) fn forgiving(mut self, partial: bool) -> Self {
        self.partial = partial;
        self
    }

    /// The session, made anew if it was lost.
    pub(crate) async fn session(&mut self) -> Result<&mut Session, PgError> {
        if self.session.as_ref().is_none_or(Session::is_broken) {
            let mut session = Session::connect(&self.target, self.purpose).await?;
            if !self.settings.is_empty() {
                session.batch(&self.settings).await?;
            }
            self.session = Some(session);
        }
        Ok(self.session.as_mut().expect("it was just made"))
    }

    /// Makes entries in one transaction; if that fails, one by one, so that the one at
    /// fault is named and what may be missing is given up alone.
    pub(crate) async fn make_together(&mut self, entries: &[&Entry]) -> Result<(), LoadError> {
        let knows = self.knows_multiranges().await?;
        let sql = with_sql(entries.iter().copied(), knows)?;
        let entries: Vec<_> = sql.iter().map(|(entry, sql)| (*entry, &**sql)).collect();
        self.make_together_as(&entries).await
    }

    /// The same by other SQL than their own, which is for every version.
    pub(crate) async fn make_together_as(
        &mut self,
        entries: &[(&Entry, &str)],
    ) -> Result<(), LoadError> {
        if entries.len() > 1 && self.try_together_as(entries).await.is_ok() {
            return Ok(());
        }
        for (entry, sql) in entries {
            if self.cancel.is_cancelled() {
                return Err(LoadError::Cancelled);
            }
            self.make_as(entry, sql).await?;
        }
        Ok(())
    }

    /// Makes entries in one transaction, as [`Runner::run_together`] does; inside is what the
    /// server says of it.
    pub(crate) async fn try_together(
        &mut self,
        entries: impl Iterator<Item = &Entry>,
    ) -> Result<Result<(), PgError>, LoadError> {
        let knows = match self.session().await {
            Ok(session) => has_multiranges(session),
            Err(cause) => return Ok(Err(cause)),
        };
        let sql = with_sql(entries, knows)?;
        let entries: Vec<_> = sql.iter().map(|(entry, sql)| (*entry, &**sql)).collect();
        Ok(self.try_together_as(&entries).await)
    }

    async fn try_together_as(&mut self, entries: &[(&Entry, &str)]) -> Result<(), PgError> {
        let entries = entries.iter();
        let tasks: Vec<_> = entries
            .map(|(entry, sql)| (record::key(entry), *sql))
            .collect();
        self.run_together(tasks.iter().map(|(key, sql)| (key, *sql)))
            .await
    }

    /// Makes an entry by this SQL and records it.
    pub(crate) async fn make_as(&mut self, entry: &Entry, sql: &str) -> Result<Outcome, LoadError> {
        let label = entry.to_string();
        match self.run(&record::key(entry), &label, sql).await {
            Err(LoadError::Entry { cause, .. })
                if may_be_missing(entry, &cause)
                    || (self.partial && lacks_another(entry, &cause)) =>
            {
                self.give_up(&record::key(entry), &label, &cause).await
            }
            other => other.map(|()| Outcome::Made),
        }
    }

    /// Runs SQL that the copy can do without, and records it under a key: what the target
    /// refuses is given up.
    pub(crate) async fn try_to_run(
        &mut self,
        key: &Key,
        label: &str,
        sql: &str,
    ) -> Result<Outcome, LoadError> {
        match self.run(key, label, sql).await {
            Err(LoadError::Entry { cause, .. }) if cause.sqlstate().is_some() => {
                self.give_up(key, label, &cause).await
            }
            other => other.map(|()| Outcome::Made),
        }
    }

    async fn give_up(
        &mut self,
        key: &Key,
        label: &str,
        cause: &PgError,
    ) -> Result<Outcome, LoadError> {
        let reason = cause.to_string();
        let sql = record::insert_sql(key, Some(&reason));
        self.run_once(&sql)
            .await
            .on(Side::Target, format!("recording {label}"))?;
        tracing::warn!(entry = label, reason, "an object was left out");
        Ok(Outcome::GivenUp(reason))
    }

    /// Runs SQL and records it under a key, in one transaction; again after what may pass.
    pub(crate) async fn run(&mut self, key: &Key, label: &str, sql: &str) -> Result<(), LoadError> {
        let whole = format!("{}\n{}", sql.trim_end(), record::insert_sql(key, None));
        let mut pauses = pauses();
        loop {
            let cause = match self.run_once(&whole).await {
                Ok(()) => return Ok(()),
                Err(cause) => cause,
            };
            if self.cancel.is_cancelled() {
                return Err(LoadError::Cancelled);
            }
            let pause = pauses.next().filter(|_| cause.may_retry());
            if let Some(pause) = pause {
                tracing::warn!(entry = label, error = %cause, "trying again");
                self.wait(pause).await?;
            }
            // An earlier try whose end we did not see may have made it, even just now.
            if self.was_recorded(key, label).await? {
                return Ok(());
            }
            if pause.is_none() {
                return Err(LoadError::Entry {
                    entry: label.to_owned(),
                    cause,
                });
            }
        }
    }

    /// Runs the SQL of several keys and records them, in one transaction. After an error nothing
    /// of it has happened, or all of it: each is to be looked at.
    pub(crate) async fn run_together<'k>(
        &mut self,
        tasks: impl Iterator<Item = (&'k Key, &'k str)>,
    ) -> Result<(), PgError> {
        let mut whole = String::new();
        for (key, sql) in tasks {
            whole.extend([sql.trim_end(), "\n", &record::insert_sql(key, None), "\n"]);
        }
        self.run_once(&whole).await
    }

    /// Whether a try whose end we did not see had happened after all.
    async fn was_recorded(&mut self, key: &Key, label: &str) -> Result<bool, LoadError> {
        let doing = format!("looking whether {label} was made");
        let mut pauses = pauses();
        loop {
            let asked = match self.session().await {
                Ok(session) => record::is_recorded(session, key).await,
                Err(cause) => Err(cause),
            };
            match asked {
                Ok(answer) => return Ok(answer),
                Err(cause) => self.before_again(&mut pauses, &doing, cause).await?,
            }
        }
    }

    /// Whether the target has multiranges; tries to connect for as long as one piece of work.
    async fn knows_multiranges(&mut self) -> Result<bool, LoadError> {
        let doing = format!("connecting ({})", self.purpose);
        let mut pauses = pauses();
        loop {
            match self.session().await {
                Ok(session) => return Ok(has_multiranges(session)),
                Err(cause) => self.before_again(&mut pauses, &doing, cause).await?,
            }
        }
    }

    /// Waits before a question is asked again; gives the error that no further try may mend.
    async fn before_again(
        &self,
        pauses: &mut Backoff,
        doing: &str,
        cause: PgError,
    ) -> Result<(), LoadError> {
        match pauses.next().filter(|_| cause.may_retry()) {
            Some(pause) => self.wait(pause).await,
            None => Err(Fault {
                side: Side::Target,
                doing: doing.to_owned(),
                cause,
            }
            .into()),
        }
    }

    /// Waits, unless told to stop.
    pub(crate) async fn wait(&self, pause: Duration) -> Result<(), LoadError> {
        tokio::select! {
            () = self.cancel.cancelled() => Err(LoadError::Cancelled),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    /// One try. When told to stop, the server is told too, and its answer awaited.
    async fn run_once(&mut self, sql: &str) -> Result<(), PgError> {
        let cancel = self.cancel.clone();
        let session = tokio::select! {
            session = self.session() => session?,
            () = cancel.cancelled() => {
                let doing = "connecting, when told to stop".to_owned();
                return Err(PgError::TimedOut { doing });
            }
        };
        let canceller = session.canceller();
        let mut work = std::pin::pin!(session.batch(sql));
        tokio::select! {
            done = &mut work => return done.map(drop),
            () = cancel.cancelled() => {}
        }
        // Heard or not, the statement's own end follows.
        if let Err(error) = canceller.cancel().await {
            tracing::debug!(%error, "the server could not be told to stop");
        }
        let ended = tokio::time::timeout(STOPS_WITHIN, work).await;
        ended
            .unwrap_or_else(|_| {
                Err(PgError::TimedOut {
                    doing: "stopping".to_owned(),
                })
            })
            .map(drop)
    }
}

/// From 14 on.
fn has_multiranges(session: &Session) -> bool {
    session.version().major() >= 14
}

fn with_sql<'e>(
    entries: impl Iterator<Item = &'e Entry>,
    knows_multiranges: bool,
) -> Result<Vec<(&'e Entry, String)>, LoadError> {
    entries
        .map(|entry| Ok((entry, sql_of(entry, knows_multiranges)?)))
        .collect()
}

/// An entry's SQL for a target that has multiranges or not. A schema may stand already: every
/// database has `public`.
fn sql_of(entry: &Entry, knows_multiranges: bool) -> Result<String, LoadError> {
    let sql = entry.sql()?;
    Ok(if entry.kind() == "TYPE" && !knows_multiranges {
        without_multirange(&sql)
    } else if entry.kind() == "SCHEMA" {
        sql.replacen("CREATE SCHEMA ", "CREATE SCHEMA IF NOT EXISTS ", 1)
    } else {
        sql
    })
}

/// Whether an entry failed because something it needs is not there. Tables and what holds
/// their rows together are never given up.
fn lacks_another(entry: &Entry, cause: &PgError) -> bool {
    let lacking = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_OBJECT,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::INVALID_SCHEMA_NAME,
    ];
    let dispensable = [
        "VIEW",
        "MATERIALIZED VIEW",
        "RULE",
        "FUNCTION",
        "PROCEDURE",
        "FK CONSTRAINT",
        "TRIGGER",
        "POLICY",
        "COMMENT",
        "ACL",
        "STATISTICS",
        "INDEX",
    ];
    cause
        .sqlstate()
        .is_some_and(|state| lacking.contains(state))
        && dispensable.contains(&entry.kind().as_str())
}

/// What a role without superuser may lack without harm to the data: an extension's own
/// comment, event triggers, security labels, and the owner of `public`. That one is there
/// in every database; before 15 it belongs to the superuser who made the server.
fn may_be_missing(entry: &Entry, cause: &PgError) -> bool {
    let refused = cause.sqlstate() == Some(&SqlState::INSUFFICIENT_PRIVILEGE);
    let extension_comment = entry.kind() == "COMMENT" && entry.name.starts_with("EXTENSION ");
    let public = entry.kind() == "SCHEMA" && entry.name == "public";
    refused
        && (extension_comment
            || public
            || ["EVENT TRIGGER", "SECURITY LABEL"].contains(&entry.kind().as_str()))
}
