//! One ordinary connection. Holds always: a session whose command was given up half-way
//! (an error of the socket, a dropped future) says so and is never used again, because
//! nobody can tell which answer belongs to which question.

use std::collections::HashMap;
use std::sync::Arc;

use postgres_protocol::message::frontend;

use crate::channel::{Channel, Frame};
use crate::conninfo::Conninfo;
use crate::copy::{CopyIn, CopyOut};
use crate::error::PgError;
use crate::field::{DataRow, ToParam};
use crate::handshake::{self, Peer, SessionKind};
use crate::pipeline::Pipeline;
use crate::version::ServerVersion;

/// A connection to one server, with its settings pinned so that values read and write the
/// same on every server, and with the time-outs that could end a copy switched off.
pub struct Session {
    pub(crate) channel: Channel,
    /// A command was sent and its `ReadyForQuery` was not yet seen.
    pub(crate) busy: bool,
    pub(crate) statements: HashMap<String, Arc<str>>,
    pub(crate) statements_made: u64,
    version: ServerVersion,
    canceller: Canceller,
}

/// Cancels what a session is doing, from another task.
#[derive(Clone)]
pub struct Canceller {
    conninfo: Conninfo,
    peer: Peer,
    process_id: i32,
    secret_key: i32,
}

impl Canceller {
    /// The server process of the session (`BackendKeyData`). A pooler in between says one of its
    /// own.
    pub fn process_id(&self) -> i32 {
        self.process_id
    }

    /// Sends a `CancelRequest` over a connection of its own (manual, "Canceling Requests in
    /// Progress"). That it was sent does not say that anything was cancelled.
    pub async fn cancel(&self) -> Result<(), PgError> {
        handshake::send_cancel(&self.conninfo, &self.peer, self.process_id, self.secret_key).await
    }
}

/// What every session of ours sets, and why: the output of each type must not depend on
/// where it was read, nothing of a server's defaults may end a long command, and names
/// resolve in `pg_catalog` only. Commits wait at least for this server's own disk: what a journal
/// says must outlive a crash. The server finds out within two minutes that we are gone, also when
/// our machine or the network died without a word: what the session holds is free then. Where our
/// process alone died, a server from 14 on finds out within ten seconds, also in the middle of a
/// query that sends nothing for an hour. Nothing is compiled for a query: of 50,000 tables, catalogs
/// are read in half the time without.
pub(crate) fn pinned_settings(version: ServerVersion) -> String {
    let mut sql = String::from(
        "SET client_encoding = 'UTF8'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; \
         SET extra_float_digits = 3; SET bytea_output = 'hex'; SET TimeZone = 'UTC'; \
         SET lc_monetary = 'C'; SET xmloption = 'content'; SET standard_conforming_strings = on; \
         SET quote_all_identifiers = off; SET search_path = ''; SET row_security = off; \
         SET client_min_messages = 'warning'; SET statement_timeout = 0; SET lock_timeout = 0; \
         SET idle_in_transaction_session_timeout = 0; SET default_transaction_isolation = 'read committed'; \
         SET default_transaction_deferrable = off; SET default_transaction_read_only = off; \
         SET check_function_bodies = off; SET tcp_keepalives_idle = 60; \
         SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 6; \
         SELECT pg_catalog.set_config('synchronous_commit', 'local', false) \
          WHERE pg_catalog.current_setting('synchronous_commit') = 'off'",
    );
    if version.major() >= 11 {
        sql.push_str("; SET jit = off");
    }
    if version.major() >= 14 {
        // Servers on other systems may not be able to, and say so by an error.
        sql.push_str(
            "; SET idle_session_timeout = 0; \
             SELECT pg_catalog.set_config('client_connection_check_interval', '10s', false) \
              WHERE pg_catalog.version() LIKE '%linux%'",
        );
    }
    if version.major() >= 17 {
        sql.push_str("; SET transaction_timeout = 0");
    }
    sql
}

impl Session {
    /// Connects, authenticates and pins the settings. `purpose` ends the
    /// `application_name`, so that an operator sees in `pg_stat_activity` what each of our
    /// sessions is for.
    pub async fn connect(conninfo: &Conninfo, purpose: &str) -> Result<Session, PgError> {
        let mut session = Session::open(conninfo, SessionKind::Ordinary, purpose).await?;
        session.batch(&pinned_settings(session.version)).await?;
        Ok(session)
    }

    pub(crate) async fn open(
        conninfo: &Conninfo,
        kind: SessionKind,
        purpose: &str,
    ) -> Result<Session, PgError> {
        let name = format!("trunkline {purpose}");
        let opened = handshake::open(conninfo, kind, &[("application_name", &name)]).await?;
        let version = opened
            .parameters
            .get("server_version")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| PgError::Protocol("the server did not say its version".to_owned()))?;
        Ok(Session {
            channel: Channel::new(opened.transport, opened.read_buffer),
            busy: false,
            statements: HashMap::new(),
            statements_made: 0,
            version,
            canceller: Canceller {
                conninfo: conninfo.clone(),
                peer: opened.peer,
                process_id: opened.process_id,
                secret_key: opened.secret_key,
            },
        })
    }

    /// The server's version.
    pub fn version(&self) -> ServerVersion {
        self.version
    }

    /// The backend's process id, as in `pg_stat_activity`.
    pub fn process_id(&self) -> i32 {
        self.canceller.process_id
    }

    /// What cancels this session's command from elsewhere.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Whether the connection is gone or out of step, and must be made anew.
    pub fn is_broken(&self) -> bool {
        self.busy
    }

    /// Marks the session as in the middle of a command.
    pub(crate) fn begin(&mut self) -> Result<(), PgError> {
        if self.busy {
            return Err(PgError::OutOfStep);
        }
        self.busy = true;
        Ok(())
    }

    /// Reads up to `ReadyForQuery` and keeps the first error on the way.
    pub(crate) async fn settle(&mut self, mut first: Option<PgError>) -> Result<(), PgError> {
        loop {
            match self.channel.next().await {
                Ok(Frame { tag: b'Z', .. }) => break,
                Ok(_) => {}
                Err(error @ PgError::Server(_)) => {
                    first.get_or_insert(error);
                }
                // The server's own words say more than the closed socket behind them.
                Err(error) => return Err(first.unwrap_or(error)),
            }
        }
        self.busy = false;
        first.map_or(Ok(()), Err)
    }

    /// Runs one or many statements by the simple protocol; rows are thrown away. Many
    /// statements in one call are one transaction unless they say otherwise. Gives the
    /// affected rows of the last. A COMMIT at the end that a server answers with ROLLBACK
    /// (the transaction had failed before; manual, COMMIT) is an error.
    pub async fn batch(&mut self, sql: &str) -> Result<u64, PgError> {
        self.begin()?;
        frontend::query(sql, &mut self.channel.output).map_err(PgError::Io)?;
        self.channel.flush().await?;
        let mut affected = 0;
        let mut last_tag = bytes::Bytes::new();
        loop {
            match self.channel.next().await {
                Ok(Frame { tag: b'C', body }) => {
                    affected = affected_rows(&body);
                    last_tag = body;
                }
                Ok(Frame { tag: b'Z', .. }) => break,
                Ok(Frame { tag: b'G', .. }) => {
                    let refusal = "COPY FROM STDIN in a batch";
                    frontend::copy_fail(refusal, &mut self.channel.output).map_err(PgError::Io)?;
                    self.channel.flush().await?;
                }
                Ok(_) => {}
                Err(error @ PgError::Server(_)) => {
                    self.settle(Some(error)).await?;
                    return Ok(affected);
                }
                Err(error) => return Err(error),
            }
        }
        self.busy = false;
        if ends_with_commit(sql) && last_tag.as_ref() == b"ROLLBACK\0" {
            return Err(PgError::Protocol(
                "the server undid the transaction that was to be committed".to_owned(),
            ));
        }
        Ok(affected)
    }

    /// Runs one statement by the simple protocol and gives its rows (a walsender knows no
    /// other).
    pub(crate) async fn simple_rows(&mut self, sql: &str) -> Result<Vec<DataRow>, PgError> {
        self.begin()?;
        frontend::query(sql, &mut self.channel.output).map_err(PgError::Io)?;
        self.collect().await.map(|(rows, _)| rows)
    }

    async fn collect(&mut self) -> Result<(Vec<DataRow>, u64), PgError> {
        let mut rows = Vec::new();
        let take = |row| {
            rows.push(row);
            Ok(())
        };
        let affected = self.each(take).await?;
        Ok((rows, affected))
    }

    /// Gives each row away as it comes. The answer is read to its end also where a row is
    /// refused.
    async fn each(
        &mut self,
        mut take: impl FnMut(DataRow) -> Result<(), PgError>,
    ) -> Result<u64, PgError> {
        self.channel.flush().await?;
        let (mut taken, mut affected) = (Ok(()), 0);
        loop {
            match self.channel.next().await {
                Ok(Frame { tag: b'D', body }) if taken.is_ok() => {
                    taken = DataRow::parse(body).and_then(&mut take);
                }
                Ok(Frame { tag: b'C', body }) => affected = affected_rows(&body),
                Ok(Frame { tag: b'Z', .. }) => break,
                Ok(_) => {}
                Err(error @ PgError::Server(_)) => {
                    self.settle(Some(error)).await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.busy = false;
        taken.map(|()| affected)
    }

    fn send_extended(&mut self, sql: &str, params: &[&dyn ToParam]) -> Result<(), PgError> {
        self.begin()?;
        let values: Vec<_> = params.iter().copied().map(ToParam::to_param).collect();
        let output = &mut self.channel.output;
        frontend::parse("", sql, [], output).map_err(PgError::Io)?;
        queue_bind("", values.iter().map(Option::as_deref), output)?;
        frontend::execute("", 0, output).map_err(PgError::Io)?;
        frontend::sync(output);
        Ok(())
    }

    async fn extended(
        &mut self,
        sql: &str,
        params: &[&dyn ToParam],
    ) -> Result<(Vec<DataRow>, u64), PgError> {
        self.send_extended(sql, params)?;
        self.collect().await
    }

    /// Runs one statement with text parameters and gives away each of its rows, in text, as it
    /// comes: of very many none is kept. An error of `take` is given once the answer is read.
    pub async fn query_each(
        &mut self,
        sql: &str,
        params: &[&dyn ToParam],
        take: impl FnMut(DataRow) -> Result<(), PgError>,
    ) -> Result<(), PgError> {
        self.send_extended(sql, params)?;
        self.each(take).await.map(drop)
    }

    /// Runs one statement with text parameters and gives its rows in text.
    pub async fn query(
        &mut self,
        sql: &str,
        params: &[&dyn ToParam],
    ) -> Result<Vec<DataRow>, PgError> {
        self.extended(sql, params).await.map(|(rows, _)| rows)
    }

    /// As [`Session::query`], for exactly one row.
    pub async fn query_one(
        &mut self,
        sql: &str,
        params: &[&dyn ToParam],
    ) -> Result<DataRow, PgError> {
        let row = self.query_opt(sql, params).await?;
        row.ok_or_else(|| PgError::Conversion {
            what: "the result".to_owned(),
            why: "a row was expected and there is none".to_owned(),
        })
    }

    /// As [`Session::query`], for at most one row.
    pub async fn query_opt(
        &mut self,
        sql: &str,
        params: &[&dyn ToParam],
    ) -> Result<Option<DataRow>, PgError> {
        let mut rows = self.query(sql, params).await?;
        if rows.len() > 1 {
            return Err(PgError::Conversion {
                what: "the result".to_owned(),
                why: format!("at most one row was expected and there are {}", rows.len()),
            });
        }
        Ok(rows.pop())
    }

    /// Runs one statement with text parameters and gives the number of affected rows.
    pub async fn execute(&mut self, sql: &str, params: &[&dyn ToParam]) -> Result<u64, PgError> {
        self.extended(sql, params)
            .await
            .map(|(_, affected)| affected)
    }

    /// Begins `COPY … FROM STDIN`.
    pub async fn copy_in(&mut self, sql: &str) -> Result<CopyIn<'_>, PgError> {
        CopyIn::start(self, sql).await
    }

    /// Begins `COPY … TO STDOUT`.
    pub async fn copy_out(&mut self, sql: &str) -> Result<CopyOut<'_>, PgError> {
        CopyOut::start(self, sql).await
    }

    /// Many statements in one round trip.
    pub fn pipeline(&mut self) -> Pipeline<'_> {
        Pipeline::new(self)
    }

    /// Ends the session in an orderly way.
    pub async fn close(mut self) {
        frontend::terminate(&mut self.channel.output);
        // The session is over whether or not the server hears of it.
        let _unheard = self.channel.flush().await;
    }
}

/// Queues a Bind of text parameters and text results.
pub(crate) fn queue_bind<'a>(
    statement: &str,
    values: impl Iterator<Item = Option<&'a [u8]>>,
    output: &mut bytes::BytesMut,
) -> Result<(), PgError> {
    use bytes::BufMut;
    let bound = frontend::bind(
        "",
        statement,
        [],
        values,
        |value, buffer| {
            Ok(match value {
                Some(text) => {
                    buffer.put_slice(text);
                    postgres_protocol::IsNull::No
                }
                None => postgres_protocol::IsNull::Yes,
            })
        },
        [],
        output,
    );
    bound.map_err(|_| PgError::Protocol("more parameters than the protocol carries".to_owned()))
}

fn ends_with_commit(sql: &str) -> bool {
    let end = sql.trim_end().trim_end_matches(';').trim_end();
    end.len() >= 6
        && end.is_char_boundary(end.len() - 6)
        && end[end.len() - 6..].eq_ignore_ascii_case("commit")
}

/// The row count at the end of a `CommandComplete` tag such as `INSERT 0 5`.
pub(crate) fn affected_rows(body: &[u8]) -> u64 {
    let tag = body.strip_suffix(b"\0").unwrap_or(body);
    let last = tag.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    std::str::from_utf8(last)
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}
