//! Many statements in one round trip, with a single Sync at the end (manual, "Pipelining").

use std::sync::Arc;

use postgres_protocol::message::frontend;

use crate::channel::Frame;
use crate::error::PgError;
use crate::limits::STATEMENTS_MAX;
use crate::session::{Session, affected_rows, queue_bind};

/// Which statement of a pipeline failed; those after it were not run.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct PipelineError {
    /// From 0, in the order in which the statements were added.
    pub index: usize,
    /// Why.
    pub error: PgError,
}

/// Statements gathered for one round trip. Without a BEGIN among them they are one implicit
/// transaction; inside an open transaction they belong to it.
pub struct Pipeline<'a> {
    session: &'a mut Session,
    queued: usize,
    /// Statements that this pipeline parses; forgotten again if it fails.
    parsed: Vec<String>,
    broken: Option<PgError>,
    stage: Stage,
}

/// How far a pipeline went, for what its drop must undo.
#[derive(PartialEq)]
enum Stage {
    /// Nothing was sent: what is queued can be thrown away.
    Gathering,
    /// Sent, or the session was not usable: nothing to undo.
    Sent,
}

impl Drop for Pipeline<'_> {
    fn drop(&mut self) {
        if self.stage == Stage::Sent {
            return;
        }
        for sql in self.parsed.drain(..) {
            self.session.statements.remove(&sql);
        }
        self.session.channel.output.clear();
        self.session.busy = false;
    }
}

impl<'a> Pipeline<'a> {
    pub(crate) fn new(session: &'a mut Session) -> Self {
        let broken = session.begin().err();
        let stage = if broken.is_some() {
            Stage::Sent
        } else {
            Stage::Gathering
        };
        let mut pipeline = Pipeline {
            session,
            queued: 0,
            parsed: Vec::new(),
            broken,
            stage,
        };
        pipeline.forget_old_statements();
        pipeline
    }

    fn forget_old_statements(&mut self) {
        if self.session.statements.len() < STATEMENTS_MAX {
            return;
        }
        for (_, name) in self.session.statements.drain() {
            // A generated name is short and holds no NUL, so this cannot fail.
            let _queued = frontend::close(b'S', &name, &mut self.session.channel.output);
        }
    }

    /// How many statements are queued.
    pub fn len(&self) -> usize {
        self.queued
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Bytes queued and not yet sent.
    pub fn queued_bytes(&self) -> usize {
        self.session.channel.output.len()
    }

    /// Adds a statement with text parameters (`None` is NULL). It is prepared once a session
    /// by its text.
    pub fn add(&mut self, sql: &str, params: &[Option<&[u8]>]) {
        self.add_each(sql, params.iter().copied());
    }

    /// The same with parameters that need not stand in one place.
    pub fn add_each<'v>(&mut self, sql: &str, params: impl Iterator<Item = Option<&'v [u8]>>) {
        let queued = self.queue(sql, params);
        self.note(queued);
    }

    fn note(&mut self, queued: Result<(), PgError>) {
        self.queued += 1;
        if let Err(error) = queued {
            self.broken.get_or_insert(error);
        }
    }

    fn queue<'v>(
        &mut self,
        sql: &str,
        params: impl Iterator<Item = Option<&'v [u8]>>,
    ) -> Result<(), PgError> {
        let name = self.prepare(sql)?;
        let output = &mut self.session.channel.output;
        queue_bind(&name, params, output)?;
        frontend::execute("", 0, output).map_err(PgError::Io)
    }

    fn prepare(&mut self, sql: &str) -> Result<Arc<str>, PgError> {
        if let Some(name) = self.session.statements.get(sql) {
            return Ok(Arc::clone(name));
        }
        self.session.statements_made += 1;
        let name: Arc<str> = format!("t{}", self.session.statements_made).into();
        frontend::parse(&name, sql, [], &mut self.session.channel.output).map_err(PgError::Io)?;
        self.session
            .statements
            .insert(sql.to_owned(), Arc::clone(&name));
        self.parsed.push(sql.to_owned());
        Ok(name)
    }

    /// Adds a `COPY … FROM STDIN` with all its data. The data follows without waiting for
    /// the server's `CopyInResponse`: if the COPY is refused, the server passes over it.
    pub fn add_copy(&mut self, sql: &str, data: &[u8]) {
        let queued = self.queue_copy(sql, data);
        self.note(queued);
    }

    fn queue_copy(&mut self, sql: &str, data: &[u8]) -> Result<(), PgError> {
        self.queue(sql, std::iter::empty())?;
        let output = &mut self.session.channel.output;
        for piece in data.chunks(1 << 20) {
            frontend::CopyData::new(piece)
                .map_err(PgError::Io)?
                .write(output);
        }
        frontend::copy_done(output);
        Ok(())
    }

    /// Runs everything in order; gives the affected rows of each statement.
    pub async fn run(mut self) -> Result<Vec<u64>, PipelineError> {
        if let Some(error) = self.broken.take() {
            return Err(PipelineError { index: 0, error });
        }
        self.stage = Stage::Sent;
        frontend::sync(&mut self.session.channel.output);
        let flushed = self.session.channel.flush().await;
        flushed.map_err(|error| PipelineError { index: 0, error })?;
        let mut affected = Vec::with_capacity(self.queued);
        loop {
            match self.session.channel.next().await {
                Ok(Frame { tag: b'C', body }) => affected.push(affected_rows(&body)),
                Ok(Frame { tag: b'I', .. }) => affected.push(0),
                Ok(Frame { tag: b'Z', .. }) => break,
                Ok(_) => {}
                Err(error) => return Err(self.failed(affected.len(), error).await),
            }
        }
        self.session.busy = false;
        Ok(affected)
    }

    async fn failed(mut self, index: usize, error: PgError) -> PipelineError {
        for sql in self.parsed.drain(..) {
            // Whether the server parsed it is not known: parse it again under a new name.
            self.session.statements.remove(&sql);
        }
        if !matches!(error, PgError::Server(_)) {
            return PipelineError { index, error };
        }
        let settled = self.session.settle(Some(error)).await;
        let error = settled.err().unwrap_or(PgError::Closed);
        PipelineError { index, error }
    }
}
