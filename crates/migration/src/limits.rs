//! Bounds of a migration, with their arithmetic.

use std::time::Duration;

/// Between two looks for sessions while the source is fenced: a session that was just
/// authenticated needs a few milliseconds until it can be seen.
pub(crate) const FENCE_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Looks in a row that must find nobody, 20 ms apart: a session that passed the door before
/// it closed shows within its start-up, which takes 1 to 5 ms.
pub(crate) const FENCE_QUIET_LOOKS: u32 = 3;

/// Connections tried, 20 ms apart, until a fenced database refuses one for that reason: a
/// server whose connection slots are all taken answers something else first.
pub(crate) const FENCE_PROBES: u32 = 3;

/// Looks, 20 ms apart, until a probe that was closed has left: half a second of the pause at
/// the most, where a busy server usually needs none.
pub(crate) const FENCE_LOOKS_FOR_PROBES: u32 = 25;

/// A batch of the slot read by SQL, in messages of the decoder, at the most: the reader asks
/// for fewer where they are large.
pub(crate) const PEEK_MESSAGES: u32 = 400_000;

/// Between two advances of the slot while it is read by SQL: each decodes the log from the
/// slot's restart position once more (0.2 s for 200,000 messages), and what is durable but
/// not given free costs a crash nothing but reading, and the source this much of its log.
pub(crate) const ADVANCE_EVERY: Duration = Duration::from_secs(15);

/// How long a transaction waits for company while the stream is quiet: the delay that
/// batching adds to a lone commit.
pub(crate) const LINGER: Duration = Duration::from_millis(3);

/// The same while a backlog is read by SQL, where batches are to be full: two ticks, so that
/// what watchers see moves when the source sends slowly.
pub(crate) const BACKLOG_LINGER: Duration = Duration::from_secs(1);

/// How long a pull waits when nothing is pending: only how soon an interrupt or a tick is
/// seen, since arriving changes end the wait at once.
pub(crate) const QUIET_WAIT: Duration = Duration::from_millis(100);

/// Between two looks at the lag, at commands that wait, and at the budget.
pub(crate) const TICK: Duration = Duration::from_millis(500);

/// Between two durable commits while following: what a crash of the target may make us
/// apply again.
pub(crate) const DURABLE_EVERY: Duration = Duration::from_secs(1);

/// Between two confirmations of an idle source: its slot keeps at most what the server
/// writes in this time.
pub(crate) const CONFIRM_IDLE_EVERY: Duration = Duration::from_secs(10);

/// Rates are measured over this long: shorter and a checkpoint shows as a stall.
pub(crate) const RATE_WINDOW: Duration = Duration::from_secs(5);

/// Between two tries for a file's lock, which nobody announces: a twentieth of a second is
/// not noticed by whoever waits for a command, and costs one system call.
pub(crate) const FILE_LOCK_LOOK: Duration = Duration::from_millis(50);

/// A look at a journal's file (`status`) has its lock for microseconds: whoever finds it
/// taken tries for this long before somebody else is said to hold it.
pub(crate) const FILE_LOCK_PATIENCE: Duration = Duration::from_millis(300);

/// Looks in a row, half a second apart, at which a standby must be near: two seconds of real
/// load, which a single look between two bursts would not be.
pub(crate) const STANDBY_NEAR_LOOKS: u32 = 4;

/// Looks in a row at which a standby does not receive before that is said: it connects again
/// five seconds after it lost its source (`wal_retrieve_retry_interval`).
pub(crate) const STANDBY_SILENT_LOOKS: u32 = 20;

/// How long rows that differ between a source and its standby are looked at again: the
/// standby is behind by its lag, which is bytes by then.
pub(crate) const STANDBY_SETTLE: Duration = Duration::from_secs(10);

/// Between two looks whether a standby has replayed the barrier: clients wait for it.
pub(crate) const REPLAY_LOOK: Duration = Duration::from_millis(5);

/// With less than this left of the pause nothing is promoted: a promotion takes some tenths of
/// a second, and what follows it as long again, and it cannot be taken back.
pub(crate) const PROMOTE_AT_LEAST: Duration = Duration::from_secs(2);

/// How long a command waits for the run that holds the migration to hand it over.
pub(crate) const HAND_OVER_WITHIN: Duration = Duration::from_secs(20);

/// How long a server may leave a question for its position unanswered.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// How long a connection may stay lost, without any progress, before the run ends: a
/// managed server's restart with recovery takes one to two minutes.
pub(crate) const RECONNECT_FOR: Duration = Duration::from_mins(2);

/// Between two looks at a subscription that is waited for: with clients held, what the last
/// look misses adds to their wait.
pub(crate) const SUBSCRIPTION_LOOK: Duration = Duration::from_millis(5);

/// Between two looks at a subscription that nobody waits for.
pub(crate) const SUBSCRIPTION_WATCH: Duration = Duration::from_millis(100);

/// How long a subscription's worker that has ended may keep its slot and origin: the source
/// notices it when it sends the next time.
pub(crate) const SUBSCRIPTION_RESTS_WITHIN: Duration = Duration::from_secs(30);

/// How long the slot's creation may take before we say whom it waits for, and between two
/// such messages.
pub(crate) const SLOT_PATIENCE: Duration = Duration::from_secs(3);

/// Between two looks at a relay that is waited for: it replays within milliseconds.
pub(crate) const RELAY_LOOK: Duration = Duration::from_millis(100);

/// How long a relay's database may stay closed after the source's was opened again: as long
/// as a standby may be behind whose queries hold replay up (`max_standby_streaming_delay` is
/// 30 s by default).
pub(crate) const RELAY_OPENS_WITHIN: Duration = Duration::from_secs(40);

/// How often a slot on a relay is made again that was lost before the source knew of it.
pub(crate) const RELAY_SLOTS: u32 = 5;

/// How long the slot for the way back may take to be made. It waits for every transaction that
/// is open on the server that is to serve, and as long as it waits that server keeps its log;
/// nobody is held yet. What is open for longer than a minute on a server without clients is
/// better named to the operator than waited for.
pub(crate) const WAY_BACK_SLOT_WITHIN: Duration = Duration::from_mins(1);

/// The first pause before a lost connection is made again, and the longest.
pub(crate) const RECONNECT_FIRST: Duration = Duration::from_millis(250);
/// See [`RECONNECT_FIRST`].
pub(crate) const RECONNECT_PAUSE: Duration = Duration::from_secs(5);

/// How often `verify` begins anew after a session of it was lost or a statement of it was
/// cancelled, as a standby and an administrator may; each time everything is read again.
pub(crate) const COMPARED_AGAIN: u32 = 4;

/// The time that validation has left is said once one row in so many was compared, or the
/// reading has gone on for so long: before, the rate is that of its first tables.
pub(crate) const RATE_KNOWN_AFTER_SHARE: u64 = 20;
/// See [`RATE_KNOWN_AFTER_SHARE`].
pub(crate) const RATE_KNOWN_AFTER: Duration = Duration::from_mins(10);

/// How long a given-up cutover tries to write so into the journal: clients are served by the
/// source again, and only the command's end waits.
pub(crate) const RECORD_WITHIN: Duration = Duration::from_secs(1);

/// How long the journal may take to answer to the point of no return. Then another session
/// reads what it says, once the first one's lock is gone, and with it what it may still do:
/// a network that swallowed the answer keeps clients waiting no longer than that.
pub(crate) const NO_RETURN_ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// How long a given-up cutover tries to remove what it made: a slot and some publications
/// take a few hundredths of a second, and seconds on a server that writes checkpoints. What
/// is left, the next run removes.
pub(crate) const TAKE_BACK_WITHIN: Duration = Duration::from_secs(10);

/// How long nobody may look at the source before it is asked what holds the target up, and between
/// two such looks.
pub(crate) const HELD_UP_AFTER: Duration = Duration::from_secs(3);
pub(crate) const HELD_UP_LOOK: Duration = Duration::from_secs(2);

/// Between two looks at whom a copy waits for: who is there at both is told of.
pub(crate) const WAITS_LOOK: Duration = Duration::from_secs(5);

/// Between two looks whether a session of ours that was lost has ended.
pub(crate) const LOST_LOOK: Duration = Duration::from_millis(20);

/// How long such a look may take, with a connection of its own to a distant server.
pub(crate) const HELD_UP_ANSWER: Duration = Duration::from_secs(10);

/// How long one try to lift a fence may take, once it is connected, before the next one.
pub(crate) const LIFTED_WITHIN: Duration = Duration::from_secs(15);

/// How long it may take to ask a server to end a statement that was given up: a server that
/// answers does so in milliseconds, and one that does not will not end it either.
pub(crate) const CANCEL_WITHIN: Duration = Duration::from_millis(300);

/// Further comparisons of a table that is emptied while it is compared. The second one keeps
/// it from being emptied a few milliseconds after its snapshot, so that each has a good
/// chance where a table is emptied every second.
pub(crate) const COMPARE_AGAIN: u32 = 5;

/// Between two looks whether the transactions that were open when the slot was made have
/// ended.
pub(crate) const OUTLAST_LOOK: Duration = Duration::from_millis(50);

/// Between two looks at the log that the source keeps while rows are copied.
pub(crate) const BUDGET_LOOK: Duration = Duration::from_secs(5);

/// How long what moves the clients may take to say that it can, before anyone is held.
pub(crate) const LOOK_AT_TRAFFIC_WITHIN: Duration = Duration::from_secs(10);
/// How much is kept of what a command of the operator's writes to either pipe: enough for the
/// last lines of a failing script, and for a value that a smoke test expects.
pub(crate) const COMMAND_SAID_BYTES: u64 = 2_000;

/// How long a command's pipes are read once it has ended: what it wrote lies in the pipe
/// already, and a process that it left behind may hold them open for good.
pub(crate) const COMMAND_SAYS_WITHIN: Duration = Duration::from_millis(100);

/// How much of an expected and of a found value a smoke test's failure shows, each: two lines
/// of a terminal.
pub(crate) const SMOKE_SHOWN_CHARS: usize = 200;

/// Statements whose times a report shows: one screen.
pub(crate) const BUSIEST_STATEMENTS: i64 = 10;

/// Statements that are looked through for those: the default of `pg_stat_statements.max` is
/// 5,000; at most 10,000 characters of each are read, one kB as a rule, so a few MB.
pub(crate) const STATEMENTS_READ: i64 = 5_000;

/// How much of a statement a report shows.
pub(crate) const STATEMENT_SHOWN_CHARS: usize = 200;

/// How long a consumer's slot may take to be made: the server waits for every transaction that
/// runs on it, and a longer one is better named to the operator than waited for.
pub(crate) const SLOT_MADE_WITHIN: Duration = Duration::from_secs(30);

/// How long all smoke tests after the release may take together: clients are served, and only
/// the command's end waits.
pub(crate) const SMOKE_AFTER_WITHIN: Duration = Duration::from_mins(5);

/// Large objects whose checksums one statement computes: with the pieces below some 50 MB pass
/// through the server for each, and its answer is 20 kB.
pub(crate) const LARGE_OBJECTS_AT_ONCE: i64 = 200;

/// A piece of a large object that the server reads at once: 128 of its pages.
pub(crate) const LARGE_OBJECT_PIECE_BYTES: i32 = 256 << 10;

/// Large objects that differ and are named in a report.
pub(crate) const LARGE_OBJECTS_NAMED: usize = 1_000;

/// Between two looks at rows that differ on sides that are written: long enough for a change
/// on the way to arrive, short enough for several looks in the default of five seconds.
pub(crate) const SETTLE_LOOK: Duration = Duration::from_secs(1);

/// Keys of changed rows that wait to be compared, of all tables together: some 100 bytes each,
/// so 20 MB. What does not fit has its table read again.
pub(crate) const CHANGED_KEYS: usize = 200_000;

/// Changed rows that are compared at once.
pub(crate) const VALIDATED_KEYS_AT_ONCE: usize = 500;

/// How long changes gather before their rows are compared: a row that is written every second
/// is compared once for many changes.
pub(crate) const CHANGES_GATHER: Duration = Duration::from_secs(1);

/// Between two readings of a whole table because more changed than could be noted.
pub(crate) const WHOLE_AGAIN: Duration = Duration::from_mins(10);

/// Rounds of mending: of a table with very many rows that differ, each names the first ones.
pub(crate) const MEND_AGAIN: u32 = 100;

/// Looks at rows of a part that differ while they are written to; each lasts as long as the
/// target needs to catch up. A row that is written to seldom is settled by the second one,
/// and what is written to all the time by a comparison at one position in the end. That reads
/// whole tables, so that of a large table more looks are worth their time.
pub(crate) const LOOKS_AT_A_PART: u32 = 6;

/// The same of a table that is one part, and of rows that the stream named.
pub(crate) const LOOKS: u32 = 2;

/// Up to this size, in bytes, a comparison of the whole table at one position takes less than
/// waiting for a second look.
pub(crate) const LOOKED_AT_ONCE: u64 = 8 << 20;

/// Before a lost connection of validation is made again.
pub(crate) const VALIDATE_AGAIN: Duration = Duration::from_secs(2);

/// Between two looks whether validation may go on, while the source's budget pauses it.
pub(crate) const VALIDATION_LOOK: Duration = Duration::from_millis(500);

/// Rows on each side of a seed's position that a copy is asked about: one query each, a few
/// milliseconds together.
pub(crate) const PROBED_ROWS: usize = 200;

/// How far before a seed's position its stream is first read: at 16 MB, one segment, decoding
/// takes a second. Sixteen times as much each time that nothing of ours was changed in it.
pub(crate) const PROBE_BACK_FIRST_BYTES: u64 = 16 << 20;

/// How long a pull of that stream waits before it looks how far the server has read.
pub(crate) const PROBE_WAIT: Duration = Duration::from_millis(200);

/// How long a copy may take to recover. The log of its own making, which is all that it reads:
/// two hours of copying at 50 MB/s are 360 GB, replayed at 100 MB/s in an hour.
pub(crate) const COPY_RECOVERS_WITHIN: Duration = Duration::from_hours(2);

/// How often a copy that recovers is asked how far it is.
pub(crate) const COPY_LOOK: Duration = Duration::from_millis(100);

/// How long a standby that was made may take to be reached and to stream: it connects again
/// every five seconds (`wal_retrieve_retry_interval`).
pub(crate) const STANDBY_STREAMS_WITHIN: Duration = Duration::from_mins(2);

/// How long a physical slot may be held by a process that has just ended: the source notices a
/// client's end at its next word to it (`wal_sender_timeout` is 60 s by default).
pub(crate) const SLOT_FREE_WITHIN: Duration = Duration::from_secs(90);

/// Between two questions for a platform's lag metric. Metrics change once a minute, if they are
/// a cloud's; one that is read from the server itself changes at once.
pub(crate) const LAG_LOOK: Duration = Duration::from_secs(1);

/// How long the command may take that asks for it: a cloud's interface answers in seconds.
pub(crate) const LAG_COMMAND_WITHIN: Duration = Duration::from_secs(30);

/// How often the progress of a copy is said.
pub(crate) const COPY_SAY_EVERY: Duration = Duration::from_secs(5);

/// Tables that one statement adds to a publication or takes out of it: that takes two locks for
/// each, of the 6,400 that a server has by default.
pub(crate) const PUBLISHED_AT_ONCE: usize = 100;

/// Tables of which a comparison is recorded in one transaction: some hundred kilobytes.
pub(crate) const SETTLED_AT_ONCE: usize = 5_000;

/// Tables among which the one with the most changed keys is looked for.
pub(crate) const CHANGED_TABLES_SEEN: usize = 16;

/// The share of a server's locks that the removal of a publication may take at once.
pub(crate) const PUBLICATION_LOCKS_SHARE: usize = 4;

/// How long one statement of ours waits for locks on tables before it lets others pass, who wait
/// behind it, and is tried again.
pub(crate) const LOCK_WAITS: &str = "2s";

/// How long the sequences that are set before anybody is held wait for a client's lock on one.
pub(crate) const AHEAD_WAITS: &str = "1s";

/// Unlogged tables that are copied again in one transaction: each is locked until it ends, and a
/// commit waits for the disk while clients are held.
pub(crate) const UNLOGGED_AT_ONCE: usize = 100;

/// Tables whose validation is forgotten in one statement: each is a row that is looked up by its
/// place.
pub(crate) const OTHERS_FORGOTTEN_AT_ONCE: usize = 10_000;
