//! Asks the catalog for the translator, over a session that is opened before it is needed:
//! while a server is closed to its clients, it may take no new one.

use super::StreamedTable;
use super::catalog::{self, TableFacts};
use super::line::{Unreadable, table_parts};
use super::table::Table;
use super::translator::{Answer, Question};
use crate::error::StreamError;
use std::collections::BTreeMap;
use trunkline_changes::TableName;
use trunkline_postgres::{Conninfo, PgError, Session};

/// The tables that are streamed, and a session to ask about them.
pub(crate) struct Lookup {
    conninfo: Conninfo,
    session: Option<Session>,
    streamed: BTreeMap<u32, StreamedTable>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum LookupError {
    Server(PgError),
    Stream(StreamError),
}

impl From<PgError> for LookupError {
    fn from(error: PgError) -> Self {
        LookupError::Server(error)
    }
}

impl From<Unreadable> for LookupError {
    fn from(error: Unreadable) -> Self {
        LookupError::Stream(error.into())
    }
}

impl Lookup {
    /// Connects, and reads what is known of the tables: by the names that they have, and by
    /// those that they had, because the lines may be older than a change of name.
    pub(crate) async fn open(
        conninfo: Conninfo,
        tables: &[StreamedTable],
    ) -> Result<(Self, Vec<(Vec<u8>, Table)>), LookupError> {
        let streamed = tables.iter().map(|table| (table.oid, table.clone()));
        let mut lookup = Lookup {
            conninfo,
            session: None,
            streamed: streamed.collect(),
        };
        let known = lookup.read_all().await?;
        Ok((lookup, known))
    }

    async fn read_all(&mut self) -> Result<Vec<(Vec<u8>, Table)>, LookupError> {
        let mut session = self.session().await?;
        let oids: Vec<u32> = self.streamed.keys().copied().collect();
        let facts = catalog::read(&mut session, &oids).await?;
        let names: Vec<&TableName> = self.streamed.values().map(|table| &table.name).collect();
        let named = catalog::named(&mut session, &names).await?;
        self.session = Some(session);
        let mut known: BTreeMap<Vec<u8>, Table> = BTreeMap::new();
        let recorded: BTreeMap<&TableName, &StreamedTable> = self
            .streamed
            .values()
            .map(|table| (&table.name, table))
            .collect();
        for now in named {
            let Some(&table) = recorded.get(&now.name) else {
                continue;
            };
            if now.oid.is_some_and(|oid| oid != table.oid) {
                return Err(LookupError::Stream(StreamError::TableReplaced {
                    table: now.name,
                }));
            }
            let facts = facts.get(&table.oid);
            if let Some(facts) = facts.filter(|facts| facts.name != now.name) {
                known.insert(facts.raw.clone(), named_now(table, facts)?);
            }
            let entry = Table::new(table.oid, now.name, table.inserts_only, facts)?;
            known.insert(now.raw, entry);
        }
        Ok(known.into_iter().collect())
    }

    /// Answers a question of the translator.
    pub(crate) async fn answer(&mut self, question: &Question) -> Result<Answer, LookupError> {
        let mut session = self.session().await?;
        let answer = match question {
            Question::Table(raw) => Answer::Table(self.table(&mut session, raw).await?),
            Question::Columns(oid) => {
                let mut facts = catalog::read(&mut session, &[*oid]).await?;
                Answer::Columns(facts.remove(oid))
            }
        };
        self.session = Some(session);
        Ok(answer)
    }

    /// A table of a name that is not known: one of ours that was renamed, or another one.
    async fn table(
        &self,
        session: &mut Session,
        raw: &[u8],
    ) -> Result<Option<Box<Table>>, LookupError> {
        let (schema, name) = table_parts(raw)?;
        let (Ok(schema), Ok(name)) = (String::from_utf8(schema), String::from_utf8(name)) else {
            return Ok(None);
        };
        let name = TableName::new(schema, name);
        let named = catalog::named(session, &[&name]).await?;
        let oid = named.into_iter().find_map(|named| named.oid);
        let Some(table) = oid.and_then(|oid| self.streamed.get(&oid)) else {
            return Ok(None);
        };
        let mut facts = catalog::read(session, &[table.oid]).await?;
        match facts.remove(&table.oid) {
            Some(facts) => Ok(Some(Box::new(named_now(table, &facts)?))),
            None => Ok(None),
        }
    }

    /// The session's process on the server, which must outlive the server's being closed.
    pub(crate) fn process_id(&self) -> Option<i32> {
        self.session.as_ref().map(Session::process_id)
    }

    /// Ends the session.
    pub(crate) async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }

    async fn session(&mut self) -> Result<Session, PgError> {
        match self.session.take().filter(|session| !session.is_broken()) {
            Some(session) => Ok(session),
            None => Session::connect(&self.conninfo, "catalog").await,
        }
    }
}

fn named_now(table: &StreamedTable, facts: &TableFacts) -> Result<Table, Unreadable> {
    Table::new(
        table.oid,
        facts.name.clone(),
        table.inserts_only,
        Some(facts),
    )
}
