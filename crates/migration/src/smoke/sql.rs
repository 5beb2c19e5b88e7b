//! The statement of a smoke test on its server: one transaction, read-only, rolled back.

use tokio::time::Instant;
use trunkline_postgres::{Conninfo, PgError, Session};

use crate::limits::CANCEL_WITHIN;

/// What an ordinary session of this role in this database would have: ours pin the path for
/// our own statements, and the operator's are not written for that.
const AS_CLIENTS_SEE_IT: &str = "RESET search_path; SET default_transaction_read_only = on";

/// A session for the tests of one moment, made when the first one needs it.
pub(super) struct Prober<'a> {
    conninfo: &'a Conninfo,
    session: Option<Session>,
}

impl<'a> Prober<'a> {
    pub(super) fn new(conninfo: &'a Conninfo) -> Self {
        Prober {
            conninfo,
            session: None,
        }
    }

    /// The first column of the first row, as text. A session that a test left in the middle
    /// of something is not used again.
    pub(super) async fn look(
        &mut self,
        sql: &str,
        deadline: Instant,
    ) -> Result<Option<String>, String> {
        let connecting = async {
            let mut session = Session::connect(self.conninfo, "smoke").await?;
            session.batch(AS_CLIENTS_SEE_IT).await?;
            Ok::<_, PgError>(session)
        };
        let mut session = match self.session.take() {
            Some(session) => session,
            None => match tokio::time::timeout_at(deadline, connecting).await {
                Ok(connected) => connected.map_err(|error| error.to_string())?,
                Err(_) => return Err("it took too long to connect".to_owned()),
            },
        };
        let looked = tokio::time::timeout_at(deadline, rolled_back(&mut session, sql)).await;
        if let Ok(found) = looked {
            self.session = Some(session).filter(|session| !session.is_broken());
            return found.map_err(|error| error.to_string());
        }
        // The session is dropped; its statement is ended so that nothing of it goes on.
        let canceller = session.canceller();
        let _unanswered = tokio::time::timeout(CANCEL_WITHIN, canceller.cancel()).await;
        Err("it took too long".to_owned())
    }

    pub(super) async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }
}

async fn rolled_back(session: &mut Session, sql: &str) -> Result<Option<String>, PgError> {
    session.batch("BEGIN TRANSACTION READ ONLY").await?;
    let found = first_field(session, sql).await;
    if !session.is_broken() {
        session.batch("ROLLBACK").await?;
    }
    found
}

async fn first_field(session: &mut Session, sql: &str) -> Result<Option<String>, PgError> {
    let statement = sql.trim().trim_end_matches(';');
    let rows = if gives_many_rows(statement) {
        // Only the first row is sent, however many the statement finds.
        let declare = format!("DECLARE trunkline_smoke NO SCROLL CURSOR FOR {statement}");
        session.execute(&declare, &[]).await?;
        session.query("FETCH 1 FROM trunkline_smoke", &[]).await?
    } else {
        session.query(statement, &[]).await?
    };
    match rows.first() {
        Some(row) => row.get::<Option<String>>(0),
        None => Ok(None),
    }
}

/// Whether it is a query, which a cursor can be made for; others give a line or two.
fn gives_many_rows(statement: &str) -> bool {
    let word: String = statement
        .trim_start_matches(|c: char| c == '(' || c.is_whitespace())
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    ["select", "with", "values", "table"]
        .iter()
        .any(|query| word.eq_ignore_ascii_case(query))
}
