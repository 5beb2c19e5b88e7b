//! `pg_dump` and `pg_restore` as child processes. The connection's settings go through the
//! environment; only what has no variable, and no secret, is an argument. A child is told
//! to end with the future that waits for it. The archive is written beside its place and moved there
//! when it is whole.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use trunkline_changes::{TableName, quote_ident};
use trunkline_postgres::Conninfo;

use super::entry::{Entry, LeftOut};
use super::listing::Lists;
use super::programs::Programs;
use super::script;
use super::toc;
use crate::error::LoadError;
use crate::limits::STDERR_BYTES;

/// The source's structure, as far as it is in scope.
#[derive(Clone, Debug, Default)]
pub struct Structure {
    /// What is made, in `pg_dump`'s order.
    pub entries: Vec<Entry>,
    /// What is not, and why.
    pub left_out: Vec<LeftOut>,
    /// Tables out of scope that the role may not read are not even in the dump, so what
    /// needs them cannot be told beforehand.
    pub(crate) partial: bool,
}

impl Structure {
    /// Lists tables that were kept out of the dump.
    pub(crate) fn note_unreadable(&mut self, tables: &[TableName]) {
        self.partial = !tables.is_empty();
        self.left_out.extend(tables.iter().map(|table| LeftOut {
            entry: format!("TABLE {}.{}", table.schema, table.name),
            reason: "not in scope, and the role may not read it".to_owned(),
            by_consequence: false,
        }));
    }
}

/// What is dumped, and where to.
#[derive(Clone, Copy)]
pub(crate) struct Dumped<'a> {
    pub(crate) source: &'a Conninfo,
    /// Tells it from all others.
    pub(crate) attempt: &'a str,
    pub(crate) directory: &'a Path,
    pub(crate) excluded_schemas: &'a [&'a str],
    pub(crate) excluded_tables: &'a [TableName],
    pub(crate) no_owner: bool,
}

/// Name of the archive in the working directory.
const ARCHIVE: &str = "structure.dump";

/// What an archive that is being written is called, before the name of its attempt: one that lives
/// on writes into no other's.
const UNFINISHED: &str = "structure.dump.unfinished-";

/// Names of its text and of the lists of what comes before the rows and after them, until they
/// are opened.
const FILES: [&str; 3] = [
    "structure.sql",
    "structure.before.list",
    "structure.after.list",
];

/// Whether a whole dump lies in the directory: then the restore has begun.
pub(crate) fn is_dumped(directory: &Path) -> bool {
    directory.join(ARCHIVE).exists()
}

fn unfinished(directory: &Path, attempt: &str) -> PathBuf {
    directory.join(format!("{UNFINISHED}{attempt}"))
}

/// Dumps that were begun and did not end, by the names of their attempts.
pub(crate) fn attempts(directory: &Path) -> Vec<String> {
    // Whether the folder can be read shows where the next one is written.
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    names
        .filter_map(|name| Some(name.strip_prefix(UNFINISHED)?.to_owned()))
        .collect()
}

/// Forgets one of them.
pub(crate) fn forget_attempt(directory: &Path, attempt: &str) {
    if let Err(error) = std::fs::remove_file(unfinished(directory, attempt)) {
        tracing::debug!(%error, attempt, "an unfinished dump stays");
    }
}

/// Dumps the source's structure into the directory, unless a whole dump is there already,
/// and reads it.
pub(crate) async fn dump(
    what: &Dumped<'_>,
    programs: &Programs,
    cancel: &CancellationToken,
) -> Result<Vec<Entry>, LoadError> {
    let archive = what.directory.join(ARCHIVE);
    if !archive.exists() {
        let unfinished = unfinished(what.directory, what.attempt);
        let mut command = Command::new(&programs.pg_dump);
        for variable in Conninfo::child_environment_cleared() {
            command.env_remove(variable);
        }
        command
            .args([
                "--schema-only",
                "--format=custom",
                "--no-password",
                "--file",
            ])
            .arg(&unfinished)
            .arg("--dbname")
            .arg(what.source.child_dbname())
            .envs(what.source.child_environment());
        // A quoted name as a pattern matches only itself (manual, psql, "Patterns").
        for schema in what.excluded_schemas {
            command.arg(format!("--exclude-schema={}", quote_ident(schema)));
        }
        for table in what.excluded_tables {
            command.arg(format!("--exclude-table={}", table.quoted()));
        }
        run(command, "pg_dump", cancel).await?;
        std::fs::rename(&unfinished, &archive).map_err(|cause| LoadError::File {
            doing: "moving",
            path: unfinished.clone(),
            cause,
        })?;
    }
    let restore = Restore {
        programs,
        archive: &archive,
        no_owner: what.no_owner,
        cancel,
    };
    let [text, before, after] = FILES.map(|name| what.directory.join(name));
    tokio::try_join!(
        restore.write(&text, &["--verbose"]),
        restore.write(&before, &["--list", "--section=pre-data"]),
        restore.write(&after, &["--list", "--section=post-data"]),
    )?;
    let lists = Lists {
        pre_data: script::take(&before)?,
        post_data: script::take(&after)?,
    };
    toc::split(&Arc::new(script::take(&text)?), lists)
}

struct Restore<'a> {
    programs: &'a Programs,
    archive: &'a PathBuf,
    no_owner: bool,
    cancel: &'a CancellationToken,
}

impl Restore<'_> {
    async fn write(&self, file: &Path, arguments: &[impl AsRef<OsStr>]) -> Result<(), LoadError> {
        let mut command = Command::new(&self.programs.pg_restore);
        command.args(arguments).arg("--file").arg(file);
        if self.no_owner {
            command.arg("--no-owner");
        }
        command.arg(self.archive);
        run(command, "pg_restore", self.cancel).await
    }
}

/// Runs a program to its end, or to an error with the end of its stderr.
async fn run(
    mut command: Command,
    program: &str,
    cancel: &CancellationToken,
) -> Result<(), LoadError> {
    let failed = |status: String, said: &Said| LoadError::Program {
        program: program.to_owned(),
        status,
        stderr: said.text(),
    };
    command
        .env("PGCLIENTENCODING", "UTF8")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|cause| failed(cause.to_string(), &Said::default()))?;
    let mut ends = Ends(child.id());
    let mut stderr = child.stderr.take();
    let work = async {
        let mut said = Said::default();
        let mut piece = [0; 4096];
        while let Some(stderr) = &mut stderr {
            let length = stderr.read(&mut piece).await?;
            if length == 0 {
                break;
            }
            said.listen(&piece[..length]);
        }
        let status = child.wait().await?;
        ends.0 = None;
        Ok::<_, std::io::Error>((status, said))
    };
    let ended = tokio::select! {
        () = cancel.cancelled() => return Err(LoadError::Cancelled),
        ended = work => ended,
    };
    let (status, said) = ended.map_err(|cause| failed(cause.to_string(), &Said::default()))?;
    if status.success() {
        Ok(())
    } else {
        Err(failed(status.to_string(), &said))
    }
}

/// A program that is told to end with the future that waits for it. Not by SIGKILL: `pg_dump` asks
/// its server to cancel what it is at (manual, libpq, `PQcancel`), which does not notice else
/// that it is gone while it waits for a lock, and keeps all others meanwhile.
struct Ends(Option<u32>);

impl Drop for Ends {
    fn drop(&mut self) {
        let process = self.0.take().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(process) = process {
            // Gone already, but for what is left of it until it is waited for.
            let _gone = kill_process(process, Signal::TERM);
        }
    }
}

/// What a program said: the beginning, where the reason stands, and the end. Between them may
/// stand a statement that names thousands of tables.
#[derive(Default)]
struct Said {
    beginning: Vec<u8>,
    end: Vec<u8>,
    left_out: bool,
}

impl Said {
    fn listen(&mut self, piece: &[u8]) {
        let room = STDERR_BYTES / 4 - self.beginning.len();
        let (first, rest) = piece.split_at(room.min(piece.len()));
        self.beginning.extend_from_slice(first);
        self.end.extend_from_slice(rest);
        let surplus = self.end.len().saturating_sub(STDERR_BYTES);
        self.left_out |= surplus > 0;
        self.end.drain(..surplus);
    }

    fn text(&self) -> String {
        let (beginning, end) = (&self.beginning[..], &self.end[..]);
        let between: &[u8] = if self.left_out { b" [...] " } else { b"" };
        let text = [beginning, between, end].concat();
        String::from_utf8_lossy(&text).trim().to_owned()
    }
}

/// The statements that drop these entries of the archive in `directory`, the last made
/// first, each only if it exists. Empty when there is no archive.
pub(crate) async fn drop_script(
    programs: &Programs,
    directory: &Path,
    entries: &[u32],
    cancel: &CancellationToken,
) -> Result<String, LoadError> {
    let archive = directory.join(ARCHIVE);
    let list = directory.join("undo.list");
    let lines: Vec<String> = entries.iter().map(|id| format!("{id};\n")).collect();
    std::fs::write(&list, lines.concat()).map_err(|cause| LoadError::File {
        doing: "writing",
        path: list.clone(),
        cause,
    })?;
    let restore = Restore {
        programs,
        archive: &archive,
        no_owner: true,
        cancel,
    };
    let text = directory.join("undo.sql");
    let clean = ["--clean", "--if-exists", "--use-list"].map(OsStr::new);
    let arguments = [&clean[..], &[list.as_os_str()]].concat();
    restore.write(&text, &arguments).await?;
    script::up_to_entries(script::take(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[&str]) -> String {
        let mut said = Said::default();
        for piece in pieces {
            said.listen(piece.as_bytes());
        }
        said.text()
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let long = "x".repeat(STDERR_BYTES / 4 - 3);
        assert_eq!(said(&["one\n", &long, "two\n"]), format!("one\n{long}two"));
    }

    #[test]
    fn of_a_long_statement_the_reason_before_it_and_the_end_are_kept() {
        let tables = "public.a_table_with_a_name, ".repeat(4_000);
        let text = said(&["error: canceled\ndetail: LOCK TABLE ", &tables, "\nthe end"]);
        assert!(text.starts_with("error: canceled\n"), "{text}");
        assert!(text.ends_with("\nthe end"), "{text}");
        assert!(text.contains(" [...] "), "{text}");
        assert!(text.len() < 2 * STDERR_BYTES, "{}", text.len());
    }
}
