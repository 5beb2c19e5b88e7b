//! What is told, and when: from the notices of a running command to events. Pure, but for the
//! time that the caller gives.

use std::time::{Instant, SystemTime};

use serde::Serialize;
use trunkline_migration::report::SCHEMA_VERSION;
use trunkline_migration::{Error, Notice, Outcome, Phase};

use crate::clock::rfc3339;
use crate::limits::{MESSAGE_CHARS, RETRY_LASTS, TABLES_NAMED};

/// What the webhook gets, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    pub(crate) schema_version: u32,
    pub(crate) migration: String,
    #[serde(rename = "event")]
    pub(crate) kind: Kind,
    /// The phase by then; none before the first is known.
    pub(crate) phase: Option<&'static str>,
    /// RFC 3339, UTC.
    pub(crate) at: String,
    pub(crate) message: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The migration moved.
    Phase,
    /// A connection has been lost for a while.
    Retrying,
    /// Something that the operator should know.
    Warning,
    /// A comparison found tables that differ.
    Differences,
    /// A cutover was given up; the source serves.
    CutoverAborted,
    /// A command ended with an error.
    Failed,
    /// The migration is over.
    Completed,
    /// The migration was given up.
    Aborted,
}

/// How a command ended.
#[derive(Debug)]
pub enum Ended<'a> {
    /// As planned; the migration is in this phase, if the command's report says.
    Well(Option<Phase>),
    /// With an error.
    Badly(&'a Error),
}

/// What is remembered between notices.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    migration: String,
    phase: Option<Phase>,
    retrying: Retrying,
    different: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Retrying {
    #[default]
    No,
    Since(Instant),
    /// Since when is told already.
    Told,
}

impl Teller {
    pub(crate) fn new(migration: &str) -> Self {
        Teller {
            migration: migration.to_owned(),
            ..Teller::default()
        }
    }

    /// The event that a notice is, if it is one.
    pub(crate) fn notice(&mut self, notice: &Notice<'_>, now: Instant) -> Option<Event> {
        match notice {
            Notice::Phase(phase) => {
                self.retrying = Retrying::No;
                self.moved(*phase)
            }
            Notice::Copy(_) | Notice::Follow(_) | Notice::Validated { .. } => {
                self.retrying = Retrying::No;
                None
            }
            Notice::Compared { verdict, done, of } => {
                self.retrying = Retrying::No;
                if !verdict.matched() && verdict.outcome != Outcome::Disturbed {
                    self.different.push(verdict.table.to_string());
                }
                if done < of { None } else { self.compared() }
            }
            Notice::Differs(tables) => {
                let names = tables.iter().map(|table| table.table.to_string());
                self.different.extend(names);
                self.compared()
            }
            Notice::Retry { why, .. } => self.retried(why, now),
            Notice::Warning(warning) => Some(self.event(Kind::Warning, warning)),
            Notice::Step(_) => None,
        }
    }

    fn moved(&mut self, phase: Phase) -> Option<Event> {
        if self.phase == Some(phase) {
            return None;
        }
        self.phase = Some(phase);
        let (kind, message) = match phase {
            Phase::Completed => (Kind::Completed, "the migration is completed".to_owned()),
            Phase::Aborted => (Kind::Aborted, "the migration is aborted".to_owned()),
            _ => (Kind::Phase, format!("the migration is {}", phase.name())),
        };
        Some(self.event(kind, &message))
    }

    fn compared(&mut self) -> Option<Event> {
        let different = std::mem::take(&mut self.different);
        if different.is_empty() {
            return None;
        }
        let named = different.iter().take(TABLES_NAMED).cloned();
        let mut message = format!("different: {}", named.collect::<Vec<_>>().join(", "));
        if different.len() > TABLES_NAMED {
            let more = different.len() - TABLES_NAMED;
            message = format!("{message} and {more} more");
        }
        Some(self.event(Kind::Differences, &message))
    }

    fn retried(&mut self, why: &str, now: Instant) -> Option<Event> {
        match self.retrying {
            Retrying::No => {
                self.retrying = Retrying::Since(now);
                None
            }
            Retrying::Since(began) if now.duration_since(began) >= RETRY_LASTS => {
                self.retrying = Retrying::Told;
                Some(self.event(Kind::Retrying, why))
            }
            Retrying::Since(_) | Retrying::Told => None,
        }
    }

    /// The event that the end of a command is.
    pub(crate) fn ended(&mut self, ended: &Ended<'_>) -> Option<Event> {
        match ended {
            Ended::Well(phase) => phase.and_then(|phase| self.moved(phase)),
            // The operator did it.
            Ended::Badly(Error::Interrupted(_)) => None,
            Ended::Badly(error) => {
                let kind = match error {
                    Error::CutoverAborted { .. } => Kind::CutoverAborted,
                    Error::Differences(_) => Kind::Differences,
                    _ => Kind::Failed,
                };
                Some(self.event(kind, &error.to_string()))
            }
        }
    }

    fn event(&self, kind: Kind, message: &str) -> Event {
        Event {
            schema_version: SCHEMA_VERSION,
            migration: self.migration.clone(),
            kind,
            phase: self.phase.map(Phase::name),
            at: rfc3339(SystemTime::now()),
            message: message.chars().take(MESSAGE_CHARS).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn retry(teller: &mut Teller, now: Instant) -> Option<Kind> {
        let notice = Notice::Retry {
            why: "target: connection lost",
            wait: Duration::from_secs(1),
        };
        teller.notice(&notice, now).map(|event| event.kind)
    }

    #[test]
    fn a_phase_is_told_once_and_the_end_has_a_name_of_its_own() {
        let mut teller = Teller::new("shop");
        let now = Instant::now();
        let told = teller.notice(&Notice::Phase(Phase::Copying), now);
        let told = told.expect("it moved");
        assert_eq!((told.kind, told.phase), (Kind::Phase, Some("copying")));
        assert_eq!(teller.notice(&Notice::Phase(Phase::Copying), now), None);
        assert_eq!(teller.ended(&Ended::Well(Some(Phase::Copying))), None);
        let told = teller.ended(&Ended::Well(Some(Phase::Completed)));
        assert_eq!(told.map(|event| event.kind), Some(Kind::Completed));
    }

    #[test]
    fn only_a_retry_that_lasts_is_told_and_only_once() {
        let mut teller = Teller::new("shop");
        let began = Instant::now();
        assert_eq!(retry(&mut teller, began), None);
        assert_eq!(retry(&mut teller, began + RETRY_LASTS / 2), None);
        assert_eq!(
            retry(&mut teller, began + RETRY_LASTS),
            Some(Kind::Retrying)
        );
        assert_eq!(retry(&mut teller, began + RETRY_LASTS * 2), None);
        teller.notice(&Notice::Phase(Phase::Following), began);
        assert_eq!(retry(&mut teller, began + RETRY_LASTS * 3), None);
    }

    #[test]
    fn an_interrupt_by_the_operator_is_no_failure() {
        let mut teller = Teller::new("shop");
        let interrupted = Error::Interrupted(Phase::Following);
        assert_eq!(teller.ended(&Ended::Badly(&interrupted)), None);
        let told = teller.ended(&Ended::Badly(&Error::Ended));
        assert_eq!(told.map(|event| event.kind), Some(Kind::Failed));
    }
}
