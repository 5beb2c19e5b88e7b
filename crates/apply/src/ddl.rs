//! Changes of structure, as an event trigger on the source tells them in the stream: what is
//! additive is done on the target at its place, everything else waits for an operator. Holds
//! always: what became of a change is recorded in the transaction that moves the position
//! past it, and one that rows may not fit after is never passed unanswered.

mod judge;
mod message;
mod record;
mod source;
mod target;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use trunkline_changes::{TableName, Transaction};
use trunkline_postgres::Remedy;

use crate::applier::Applier;
use crate::cover::CopyCover;
use crate::error::ApplyError;
use crate::options::{Destination, TableMap};
use crate::writer::{Writer, fault};
pub use judge::ForeignKeys;
use judge::{Copied, Judged};
use message::{Object, Said};
use record::{Known, State};

pub use record::{LoggedChange, changes_to_look_at, count_replayed};
pub use source::DdlLog;

/// What becomes of changes of structure that the source's log tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DdlMode {
    /// They are recorded.
    Log,
    /// Additive ones are made on the target, too.
    Replay,
}

impl DdlMode {
    /// As the plan spells it.
    pub fn name(self) -> &'static str {
        match self {
            DdlMode::Log => "log",
            DdlMode::Replay => "replay",
        }
    }
}

/// Tables in scope, by name.
pub type InScope = Arc<dyn Fn(&TableName) -> bool + Send + Sync>;

/// How an [`Applier`] treats what the source's log tells.
#[derive(Clone)]
pub struct DdlOptions {
    /// What becomes of it.
    pub mode: DdlMode,
    /// Whose messages they are.
    pub log: DdlLog,
    /// Which tables belong to the migration: what is of others is not recorded.
    pub in_scope: InScope,
    /// Whether a foreign key that the target lacks is missing.
    pub foreign_keys: ForeignKeys,
}

impl fmt::Debug for DdlOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DdlOptions")
            .field("mode", &self.mode)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

/// A change of structure that the stream does not go past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DdlStop {
    /// Its number in `trunkline.ddl_log`.
    pub id: i64,
    /// The command, such as `ALTER TABLE`.
    pub tag: String,
    /// What it was done to.
    pub object: String,
    /// Who did it.
    pub role: String,
    /// What was sent to the source.
    pub statement: String,
    /// Why it is not replayed.
    pub why: String,
}

impl std::error::Error for DdlStop {}

impl fmt::Display for DdlStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DdlStop {
            id,
            tag,
            object,
            role,
            statement,
            why,
        } = self;
        write!(
            f,
            "the stream waits at {tag} of {object} by {role}, which is not replayed: {why}\n\
             it was: {}\n\
             hint: say on the target what to run in its place: UPDATE trunkline.ddl_log SET \
             instead = 'ALTER TABLE …' WHERE id = {id}; or, where nothing is to be run, UPDATE \
             trunkline.ddl_log SET state = 'done' WHERE id = {id}; then `trunkline run` goes on",
            statement.trim()
        )
    }
}

/// Where an applier is with what the log tells.
#[derive(Debug, Default)]
pub(crate) struct Ddl {
    pub(crate) options: Option<DdlOptions>,
    /// Events of the transaction that is under way.
    events: i32,
    /// The statement whose dropped columns were dealt with: its other event says no more.
    dropped_by: Option<String>,
}

impl Ddl {
    /// A transaction begins.
    pub(crate) fn begin(&mut self) {
        self.events = 0;
        self.dropped_by = None;
    }
}

impl Applier {
    /// Heeds what the source's log of changes of structure tells.
    #[must_use]
    pub fn with_ddl(mut self, options: DdlOptions) -> Self {
        self.ddl.options = Some(options);
        self
    }

    /// A message of the stream: if it is one of the log, everything before it is written
    /// first, and what it asks for is done in the same transaction of the target.
    pub(crate) async fn ddl(
        &mut self,
        transaction: Transaction,
        prefix: &str,
        content: &Bytes,
    ) -> Result<(), ApplyError> {
        let Some(options) = self.ddl.options.clone() else {
            return Ok(());
        };
        if prefix != options.log.prefix() {
            return Ok(());
        }
        let number = self.ddl.events;
        self.ddl.events += 1;
        let said = Said::read(content);
        if is_elsewhere(&said, &options, self.routes.map()) {
            return Ok(());
        }
        self.write_what_waits().await?;
        let event = Event {
            transaction,
            number,
            said,
        };
        let known = record::find(self.writer.here()?, &event).await?;
        let judged = self.judge(&event, &options, known.as_ref()).await?;
        self.routes.forget();
        self.carry_out(&event, known, judged).await
    }

    async fn judge(
        &mut self,
        event: &Event,
        options: &DdlOptions,
        known: Option<&Known>,
    ) -> Result<Answer, ApplyError> {
        let said = &event.said;
        let columns = |object: &Object| object.kind == "table column";
        if said.event == "sql_drop" && said.objects.iter().any(columns) {
            self.ddl.dropped_by = Some(said.statement.clone());
        }
        match known {
            Some(known) if known.state == State::Done => return Ok(Answer::Done),
            Some(Known {
                instead: Some(sql), ..
            }) => return Ok(Answer::Instead(sql.clone())),
            _ => {}
        }
        if options.mode == DdlMode::Log {
            return Ok(Answer::Judged(Judged::open("it is recorded only")));
        }
        if let Some(why) = &said.failed {
            return Ok(Answer::Judged(Judged::stop(why)));
        }
        let mut judged = Judged::default();
        for object in &said.objects {
            let xid = event.transaction.xid;
            let examined = target::Examined {
                object,
                is_drop: said.event == "sql_drop",
                copied: copied(&self.cover, object, xid),
                map: self.routes.map(),
                foreign_keys: options.foreign_keys,
            };
            judged = judged.and(examined.judge(&mut self.writer.here()?.session).await?);
        }
        // One that the stream waited for fits by now: the operator made it.
        if self.is_unexplained(said, &judged) && judged.is_nothing() && known.is_none() {
            judged = Judged::open("what it changed is not among columns and constraints");
        }
        Ok(Answer::Judged(judged))
    }

    /// An ALTER TABLE after which the columns are what they were did something else.
    fn is_unexplained(&mut self, said: &Said, judged: &Judged) -> bool {
        if said.tag != "ALTER TABLE" || said.event == "sql_drop" {
            return false;
        }
        let dropped = self.ddl.dropped_by.take();
        judged.fits && dropped.as_ref() != Some(&said.statement)
    }

    async fn carry_out(
        &mut self,
        event: &Event,
        known: Option<Known>,
        answer: Answer,
    ) -> Result<(), ApplyError> {
        let judged = match answer {
            Answer::Done => return Ok(()),
            Answer::Instead(sql) => {
                return match run(self.writer.here()?, std::slice::from_ref(&sql)).await? {
                    None => {
                        record::write(self.writer.here()?, event, State::Replayed, "", &sql).await
                    }
                    Some(why) => {
                        self.stop(event, &format!("what you gave failed: {why}"))
                            .await
                    }
                };
            }
            Answer::Judged(judged) => judged,
        };
        if !judged.stop.is_empty() {
            return self.stop(event, &judged.stop.join("; ")).await;
        }
        let (ran, refused) = match run(self.writer.here()?, &judged.run).await? {
            None => (judged.run.join(";\n"), None),
            Some(why) => (String::new(), Some(why)),
        };
        // Rows that follow may need the column that could not be made.
        if let Some(why) = &refused
            && event.said.objects.iter().any(|o| o.relation.is_some())
        {
            return self.stop(event, why).await;
        }
        let open: Vec<String> = judged.open.into_iter().chain(refused).collect();
        let state = match (open.is_empty(), ran.is_empty(), known) {
            (false, ..) => State::Open,
            (true, false, _) => State::Replayed,
            // The operator made it.
            (true, true, Some(_)) => State::Done,
            (true, true, None) => return Ok(()),
        };
        record::write(self.writer.here()?, event, state, &open.join("; "), &ran).await
    }

    /// Nothing of the transaction is on the target; that it is waited for is.
    async fn stop(&mut self, event: &Event, why: &str) -> Result<(), ApplyError> {
        self.writer.here()?.abandon().await;
        record::write(self.writer.here()?, event, State::Stopped, why, "").await?;
        let known = record::find(self.writer.here()?, event).await?;
        let said = &event.said;
        Err(ApplyError::Ddl(Box::new(DdlStop {
            id: known.map_or(0, |known| known.id),
            tag: said.tag.clone(),
            object: said.object().to_owned(),
            role: said.role.clone(),
            statement: said.statement.clone(),
            why: why.to_owned(),
        })))
    }
}

/// One event of the log in the stream.
#[derive(Debug)]
pub(crate) struct Event {
    transaction: Transaction,
    /// Counted within the transaction.
    number: i32,
    said: Said,
}

/// What is done about an event.
#[derive(Debug)]
enum Answer {
    /// The operator said that nothing is to be done.
    Done,
    /// The operator's SQL.
    Instead(String),
    Judged(Judged),
}

/// Whether all that it is about lies outside of the migration's tables.
fn is_elsewhere(said: &Said, options: &DdlOptions, map: &TableMap) -> bool {
    let elsewhere = |object: &Object| match object.table() {
        Some(table) => match map.destination(&table) {
            Some(Destination::Table(_)) => false,
            Some(Destination::Ignored) => true,
            None => !(options.in_scope)(&table),
        },
        None => false,
    };
    !said.objects.is_empty() && said.objects.iter().all(elsewhere)
}

/// Whether the rows of the table were copied after the change.
fn copied(cover: &CopyCover, object: &Object, xid: u32) -> Copied {
    match object.table() {
        Some(table) if cover.has_seen(&table, xid) => Copied::After,
        _ => Copied::Before,
    }
}

/// Runs statements inside of a savepoint; gives why the server refused one, in which case
/// none of them has happened.
async fn run(writer: &mut Writer, statements: &[String]) -> Result<Option<String>, ApplyError> {
    if statements.is_empty() {
        return Ok(None);
    }
    writer.batch("SAVEPOINT trunkline_ddl").await?;
    for statement in statements {
        let Err(cause) = writer.session.batch(statement).await else {
            continue;
        };
        let doing = "changing the structure";
        if writer.session.is_broken() || trunkline_postgres::remedy(&cause) != Remedy::None {
            return Err(fault(cause, doing).into());
        }
        writer
            .batch("ROLLBACK TO SAVEPOINT trunkline_ddl; RELEASE SAVEPOINT trunkline_ddl")
            .await?;
        return Ok(Some(format!("the target refused it: {cause}")));
    }
    writer.batch("RELEASE SAVEPOINT trunkline_ddl").await?;
    Ok(None)
}
