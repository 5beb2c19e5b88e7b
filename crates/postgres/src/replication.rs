//! The walsender's side of a server: identity, slots, and the raw stream of logical
//! replication (manual, "Streaming Replication Protocol").

use bytes::{Buf, BufMut, Bytes};
use postgres_protocol::message::frontend;
use trunkline_changes::{Lsn, quote_ident, quote_literal};

use crate::channel::{Channel, Frame as Message};
use crate::conninfo::Conninfo;
use crate::error::PgError;
use crate::field::DataRow;
use crate::handshake::SessionKind;
use crate::session::{Session, pinned_settings};
use crate::version::ServerVersion;

/// Microseconds between 1970-01-01 and 2000-01-01, PostgreSQL's epoch.
const EPOCH_MICROS: u128 = 946_684_800_000_000;

/// What `IDENTIFY_SYSTEM` says of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemIdentity {
    /// Unique for each initdb, kept by physical copies.
    pub system_id: String,
    /// The timeline, which a promotion changes.
    pub timeline: i32,
    /// The flushed position of its log.
    pub position: Lsn,
    /// The database connected to.
    pub database: String,
}

/// What becomes of the snapshot that is made with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotAction {
    /// Exported for other sessions, for as long as this one runs no other command.
    Export,
    /// Not kept.
    Nothing,
}

/// How long a slot lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotLife {
    /// Until it is dropped.
    Permanent,
    /// Until the session ends.
    Temporary,
}

/// A slot as `CREATE_REPLICATION_SLOT` answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedSlot {
    /// Its name.
    pub name: String,
    /// Transactions whose commit record begins at or after this position are streamed;
    /// those before are visible in the exported snapshot.
    pub consistent_point: Lsn,
    /// The exported snapshot's name.
    pub snapshot: Option<String>,
}

/// A walsender connection that is not streaming.
pub struct ReplicationSession {
    session: Session,
}

impl ReplicationSession {
    /// Connects with `replication=database`; needs the REPLICATION attribute.
    pub async fn connect(conninfo: &Conninfo, purpose: &str) -> Result<Self, PgError> {
        let mut session = Session::open(conninfo, SessionKind::LogicalReplication, purpose).await?;
        let version = session.version();
        session.batch(&pinned_settings(version)).await?;
        Ok(ReplicationSession { session })
    }

    /// The server's version.
    pub fn version(&self) -> ServerVersion {
        self.session.version()
    }

    /// The walsender's process id.
    pub fn process_id(&self) -> i32 {
        self.session.process_id()
    }

    /// What cancels a command of this session, such as a slot's creation that waits.
    pub fn canceller(&self) -> crate::session::Canceller {
        self.session.canceller()
    }

    /// `IDENTIFY_SYSTEM`.
    pub async fn identify_system(&mut self) -> Result<SystemIdentity, PgError> {
        let row = self.one("IDENTIFY_SYSTEM").await?;
        Ok(SystemIdentity {
            system_id: row.get(0)?,
            timeline: row.get(1)?,
            position: row.get(2)?,
            database: row.get(3)?,
        })
    }

    /// Makes a logical slot. Waits for every transaction that is open to end.
    pub async fn create_slot(
        &mut self,
        name: &str,
        plugin: &str,
        life: SlotLife,
        snapshot: SnapshotAction,
    ) -> Result<CreatedSlot, PgError> {
        let temporary = match life {
            SlotLife::Permanent => "",
            SlotLife::Temporary => " TEMPORARY",
        };
        let snapshot = match (snapshot, self.session.version().major()) {
            (SnapshotAction::Export, ..15) => " EXPORT_SNAPSHOT",
            (SnapshotAction::Nothing, ..15) => " NOEXPORT_SNAPSHOT",
            (SnapshotAction::Export, _) => " (SNAPSHOT 'export')",
            (SnapshotAction::Nothing, _) => " (SNAPSHOT 'nothing')",
        };
        let (slot, plugin) = (quote_ident(name), quote_ident(plugin));
        let sql = format!("CREATE_REPLICATION_SLOT {slot}{temporary} LOGICAL {plugin}{snapshot}");
        let row = self.one(&sql).await?;
        Ok(CreatedSlot {
            name: row.get(0)?,
            consistent_point: row.get(1)?,
            snapshot: row.get(2)?,
        })
    }

    /// Ends the session; a temporary slot goes with it.
    pub async fn close(self) {
        self.session.close().await;
    }

    async fn one(&mut self, command: &str) -> Result<DataRow, PgError> {
        let mut rows = self.session.simple_rows(command).await?;
        rows.pop().ok_or_else(|| PgError::Conversion {
            what: "the answer of the replication command".to_owned(),
            why: "one row".to_owned(),
        })
    }
}

/// What `START_REPLICATION` asks for.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// The slot.
    pub slot: String,
    /// Where to begin; a position before the slot's own is moved up to it by the server.
    pub start: Lsn,
    /// The plugin's options, such as `proto_version`.
    pub options: Vec<(String, String)>,
}

/// One message of the running stream.
#[derive(Clone, Debug)]
pub enum Frame {
    /// `XLogData`: a message of the plugin.
    Data {
        /// The position of what the message is about.
        start: Lsn,
        /// The end of the log on the server when it was sent.
        wal_end: Lsn,
        /// When it was sent, in microseconds since 2000-01-01 UTC.
        sent_at_micros: i64,
        /// The plugin's message.
        payload: Bytes,
    },
    /// `Primary keepalive`. Its position says how far the server read, never that anything
    /// was applied.
    Keepalive {
        /// How far the server has decoded.
        wal_end: Lsn,
        /// Whether it wants a status update at once.
        reply_requested: bool,
    },
}

/// A running logical replication stream.
pub struct ReplicationStream {
    channel: Channel,
    version: ServerVersion,
    process_id: i32,
}

impl ReplicationStream {
    /// Connects and starts streaming from a slot.
    pub async fn start(conninfo: &Conninfo, options: &StreamOptions) -> Result<Self, PgError> {
        let mut opened = ReplicationSession::connect(conninfo, "stream").await?;
        let list: Vec<String> = options
            .options
            .iter()
            .map(|(name, value)| format!("{} {}", quote_ident(name), quote_literal(value)))
            .collect();
        let (slot, start) = (quote_ident(&options.slot), options.start);
        let list = list.join(", ");
        let sql = format!("START_REPLICATION SLOT {slot} LOGICAL {start} ({list})");
        let session = &mut opened.session;
        session.begin()?;
        frontend::query(&sql, &mut session.channel.output).map_err(PgError::Io)?;
        session.channel.flush().await?;
        match session.channel.next().await? {
            Message { tag: b'W', .. } => {}
            Message { tag, .. } => {
                let tag = char::from(tag);
                return Err(PgError::Protocol(format!(
                    "START_REPLICATION was answered with {tag:?}"
                )));
            }
        }
        Ok(ReplicationStream {
            version: opened.session.version(),
            process_id: opened.session.process_id(),
            channel: opened.session.channel,
        })
    }

    /// The server's version.
    pub fn version(&self) -> ServerVersion {
        self.version
    }

    /// The walsender's process id.
    pub fn process_id(&self) -> i32 {
        self.process_id
    }

    /// The next message. Cancel-safe: a dropped call loses nothing.
    pub async fn next(&mut self) -> Result<Frame, PgError> {
        let message = self.channel.next().await?;
        read_frame(message)
    }

    /// The next message if it is here without waiting.
    pub fn next_ready(&mut self) -> Result<Option<Frame>, PgError> {
        self.channel.next_ready()?.map(read_frame).transpose()
    }

    /// Sends a standby status update: `received` as written, `durable` as flushed and
    /// applied. The slot's position follows `durable`.
    pub async fn report(
        &mut self,
        received: Lsn,
        durable: Lsn,
        reply_requested: bool,
    ) -> Result<(), PgError> {
        let output = &mut self.channel.output;
        output.put_u8(b'd');
        output.put_u32(4 + 34);
        output.put_u8(b'r');
        output.put_u64(received.get());
        output.put_u64(durable.get());
        output.put_u64(durable.get());
        output.put_i64(micros_since_2000());
        output.put_u8(u8::from(reply_requested));
        self.channel.flush().await
    }

    /// Ends the stream in an orderly way, so that the slot is free when this returns.
    pub async fn stop(mut self) -> Result<(), PgError> {
        frontend::copy_done(&mut self.channel.output);
        self.channel.flush().await?;
        // What was still on its way is passed over: nothing of it was confirmed.
        loop {
            match self.channel.next().await {
                Ok(Message { tag: b'Z', .. }) => break,
                Ok(_) => {}
                Err(PgError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        frontend::terminate(&mut self.channel.output);
        self.channel.flush().await?;
        // The server closes when the walsender has let go of the slot.
        while self.channel.fill().await.is_ok() {
            self.channel.input.clear();
        }
        Ok(())
    }
}

fn micros_since_2000() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_micros());
    i64::try_from(now.saturating_sub(EPOCH_MICROS)).unwrap_or(i64::MAX)
}

fn read_frame(message: Message) -> Result<Frame, PgError> {
    let malformed = || PgError::Protocol("a malformed replication message".to_owned());
    if message.tag != b'd' {
        let tag = char::from(message.tag);
        return Err(match tag {
            // The server ended the stream: it is shutting down.
            'c' | 'C' | 'Z' => PgError::Closed,
            _ => PgError::Protocol(format!("{tag:?} inside a replication stream")),
        });
    }
    let mut body = message.body;
    match body.try_get_u8().map_err(|_| malformed())? {
        b'w' if body.len() >= 24 => Ok(Frame::Data {
            start: Lsn::new(body.get_u64()),
            wal_end: Lsn::new(body.get_u64()),
            sent_at_micros: body.get_i64(),
            payload: body,
        }),
        b'k' if body.len() >= 17 => {
            let wal_end = Lsn::new(body.get_u64());
            let _sent_at = body.get_i64();
            Ok(Frame::Keepalive {
                wal_end,
                reply_requested: body.get_u8() != 0,
            })
        }
        _ => Err(malformed()),
    }
}
