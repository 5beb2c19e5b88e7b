//! The command line, each argument declared once. What was typed is turned into a plan in
//! [`crate::resolve`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Moves a live PostgreSQL database to another PostgreSQL, proves that nothing was lost,
/// and keeps the way back open.
#[derive(Debug, Parser)]
#[command(
    name = "trunkline",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// How log lines on stderr look.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// More log lines: -v for what is done, -vv for how.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Reports as JSON on stdout.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The look of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See the whole thing on this machine: two throwaway servers, writers that never stop,
    /// every phase to the cutover, the proof.
    Demo(DemoArgs),
    /// Look at both servers and say what stands in the way, each with the statement that mends it.
    Check(MigrationArgs),
    /// Say what a run would do, step by step, and what it writes on the source.
    Plan(MigrationArgs),
    /// Copy a database at rest in one go: structure, rows, indexes, constraints, sequences,
    /// large objects; no slot.
    Clone(MigrationArgs),
    /// Move a live database: prepare, copy, follow, validate, and stay following. Run again
    /// after any interruption, it goes on where it was.
    Run(RunArgs),
    /// Say where a migration stands and what is next.
    Status(StatusArgs),
    /// Compare both sides now, correct while writers run; or any two databases as they are, where
    /// there is no migration between them.
    Verify(VerifyArgs),
    /// Hold clients, fence the source, drain to the barrier, prove, set sequences, switch, start
    /// the way back, release.
    Cutover(CutoverArgs),
    /// Move the clients back to the source, with the same proof; until `complete` was called.
    Rollback(RollbackArgs),
    /// After the switch: remove everything that Trunkline made, on both servers.
    Complete(CompleteArgs),
    /// Before the switch: remove everything that Trunkline made, and leave the source as it was.
    Abort(AbortArgs),
    /// Print a script to read and run by hand.
    Sql(SqlArgs),
    /// Write the reference pages (for the project's own documentation).
    #[command(hide = true)]
    GenerateReference {
        /// The folder to write to.
        dir: PathBuf,
    },
}

/// What names a migration and its two servers.
#[derive(Clone, Debug, Default, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct MigrationArgs {
    /// The source: a libpq URI or key=value string. Also `PGCOPYDB_SOURCE_PGURI`.
    #[arg(
        long,
        env = "TRUNKLINE_SOURCE",
        hide_env_values = true,
        value_name = "CONNINFO"
    )]
    pub(crate) source: Option<String>,

    /// The target. Also `PGCOPYDB_TARGET_PGURI`.
    #[arg(
        long,
        env = "TRUNKLINE_TARGET",
        hide_env_values = true,
        value_name = "CONNINFO"
    )]
    pub(crate) target: Option<String>,

    /// The plan file [default: trunkline.toml here, if there is one].
    #[arg(
        long,
        env = "TRUNKLINE_PLAN",
        hide_env_values = true,
        value_name = "FILE"
    )]
    pub(crate) plan: Option<PathBuf>,

    /// Where this migration's files lie [default: a folder of its name in the user's state
    /// folder]. With what `run` saved there, later commands need no other argument.
    #[arg(
        long,
        env = "TRUNKLINE_DIR",
        hide_env_values = true,
        value_name = "DIR"
    )]
    pub(crate) dir: Option<PathBuf>,

    /// The migration's name [default: the source's database].
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// Tables to move, as `schema.table` with * and ?; may be repeated [default: all].
    #[arg(long, value_name = "PATTERN")]
    pub(crate) include: Vec<String>,

    /// Tables to leave out; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,

    /// A filter file in pgcopydb's format.
    #[arg(long, value_name = "FILE")]
    pub(crate) filters: Option<PathBuf>,

    /// Tables copied or compared at the same time; also `--jobs`.
    #[arg(long, alias = "jobs", value_name = "N")]
    pub(crate) table_jobs: Option<usize>,

    /// Indexes built at the same time.
    #[arg(long, value_name = "N")]
    pub(crate) index_jobs: Option<usize>,

    /// Tables above this size are copied in pieces, such as "10 GB".
    #[arg(long, value_name = "SIZE")]
    pub(crate) split_tables_larger_than: Option<String>,

    /// Drop objects of the target that the migration would make.
    #[arg(long)]
    pub(crate) drop_if_exists: bool,

    /// The target's tables stand there already: do not restore the structure.
    #[arg(long)]
    pub(crate) no_structure: bool,

    /// Leave the owners of objects out.
    #[arg(long)]
    pub(crate) no_owner: bool,

    /// Leave grants out.
    #[arg(long, alias = "no-acl")]
    pub(crate) no_privileges: bool,

    /// What happens to a change that does not fit the target.
    #[arg(long, value_enum)]
    pub(crate) on_conflict: Option<OnConflict>,
}

/// What happens to a change that does not fit the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnConflict {
    /// Stop.
    Stop,
    /// Put it aside; it blocks the cutover.
    Park,
    /// Make the row what the source says it is.
    Upsert,
}

impl OnConflict {
    /// As the plan file spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            OnConflict::Stop => "stop",
            OnConflict::Park => "park",
            OnConflict::Upsert => "upsert",
        }
    }
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Keep the servers and their data at the end.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Rows of the sample shop's largest table, in thousands.
    #[arg(long, default_value_t = 200, value_name = "THOUSANDS")]
    pub(crate) size: u32,
    /// Seed of the writers; printed, and the same seed repeats their choices.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) migration: MigrationArgs,
    /// Stop when this is reached [default: stay following].
    #[arg(long, value_enum)]
    pub(crate) until: Option<Until>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Accepted for those who come from pgcopydb: going on is what `run` always does.
    #[arg(long, hide = true)]
    pub(crate) resume: bool,
}

/// Where `run` stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// Rows and indexes are there; foreign keys come when the changes since are applied.
    Loaded,
    /// Changes flow, and the target is near the source.
    Following,
    /// Both sides were found equal.
    Verified,
    /// Clients are on the target.
    Switched,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) migration: MigrationArgs,
    /// Show it again every two seconds.
    #[arg(long)]
    pub(crate) watch: bool,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) migration: MigrationArgs,
    /// Only these tables, as `schema.table` with * and ?; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) table: Vec<String>,
    /// Only rows for which this SQL condition over the table's columns is true; with one table.
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) condition: Option<String>,
    /// Only a share of each table's rows, such as 1% or 0.5%: the same rows on both sides.
    #[arg(long, value_name = "PERCENT")]
    pub(crate) sample: Option<String>,
    /// Compare the two databases as they are, whether or not there is a migration. It needs only
    /// the right to read, and writes nothing.
    #[arg(long, conflicts_with_all = ["repair", "repair_sql"])]
    pub(crate) alone: bool,
    /// Without a migration: leave the structure out.
    #[arg(long, conflicts_with = "no_data")]
    pub(crate) no_schema: bool,
    /// Without a migration: compare the structure only.
    #[arg(long, conflicts_with_all = ["condition", "sample"])]
    pub(crate) no_data: bool,
    /// Without a migration: how long rows that differ are looked at again, in case a change is on
    /// its way [default: 5s].
    #[arg(long, value_name = "DURATION")]
    pub(crate) settle: Option<String>,
    /// Mend the target where it differs from the source, then compare what was mended again.
    #[arg(long, conflicts_with_all = ["repair_sql", "condition", "sample"])]
    pub(crate) repair: bool,
    /// Write SQL that mends the target into this file; nothing is changed.
    #[arg(long, value_name = "FILE")]
    pub(crate) repair_sql: Option<PathBuf>,
}

/// What `cutover` and `rollback` have in common.
#[derive(Debug, Args)]
pub(crate) struct SwitchArgs {
    #[command(flatten)]
    pub(crate) migration: MigrationArgs,
    /// The longest time that clients wait; a miss gives them their side back.
    #[arg(long, value_name = "DURATION")]
    pub(crate) max_pause: Option<String>,
    /// The lag at which it may begin, such as "1 MB".
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_lag: Option<String>,
    /// Do everything up to the switch, measure it, and give the side that serves back to its
    /// clients.
    #[arg(long)]
    pub(crate) rehearse: bool,
}

/// Arguments of `cutover`.
#[derive(Debug, Args)]
pub(crate) struct CutoverArgs {
    #[command(flatten)]
    pub(crate) switch: SwitchArgs,
    /// Let nothing flow back after the switch: there will be no rollback.
    #[arg(long)]
    pub(crate) no_way_back: bool,
}

/// Arguments of `rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    pub(crate) switch: SwitchArgs,
}

/// Arguments of `complete`.
#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    #[command(flatten)]
    pub(crate) migration: MigrationArgs,
    /// Leave the old database refusing writes.
    #[arg(long)]
    pub(crate) keep_fence: bool,
    /// The old server does not exist any more: remove what is on the target, and say what would
    /// be left on the source.
    #[arg(long, conflicts_with = "keep_fence")]
    pub(crate) source_is_gone: bool,
}

/// Arguments of `abort`.
#[derive(Debug, Args)]
pub(crate) struct AbortArgs {
    #[command(flatten)]
    pub(crate) migration: MigrationArgs,
    /// Keep the tables on the target.
    #[arg(long)]
    pub(crate) keep_target: bool,
}

/// Arguments of `sql`.
#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// Which script.
    #[arg(value_enum)]
    pub(crate) script: Script,
    #[command(flatten)]
    pub(crate) migration: MigrationArgs,
    /// For `role`: the role's name.
    #[arg(long, default_value = "trunkline")]
    pub(crate) role: String,
}

/// The scripts that `sql` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Script {
    /// Triggers of the target, off and on again.
    Triggers,
    /// Every sequence of the source, set to where it stands.
    Sequences,
    /// The two roles with just the rights that they need.
    Role,
    /// The publication on the source.
    Publication,
}
