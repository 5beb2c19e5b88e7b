//! The journal as a file in the migration's folder, for as long as the target cannot be
//! written: the same entries, a line of JSON each, on disk before anything relies on them.
//! Holds always: only who has the file's lock writes, and the lock goes with its process. A
//! last line without its end was never relied on, and counts as not written.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::{Claim, Identity, State};
use crate::error::Error;
use crate::journal::{Entry, FORMAT};
use crate::limits::{FILE_LOCK_LOOK, FILE_LOCK_PATIENCE};

/// The journal's name in the migration's folder.
const JOURNAL: &str = "journal";

/// Locked by a command that waits for the migration, so that a `run` sees it.
const WANTED: &str = "journal.wanted";

/// A line of the file.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The first one.
    Migration {
        name: String,
        id: String,
        format: i32,
    },
    /// What happened.
    Entry { seq: i64, entry: Box<Entry> },
    /// The journal goes on on the target: the last line.
    OnTarget,
}

/// The file, with its lock.
pub(crate) struct FileJournal {
    path: PathBuf,
    file: File,
    /// Where the next line begins.
    end: u64,
    /// The next entry's number.
    next: i64,
}

/// What a journal says.
pub(super) struct Contents {
    pub(super) identity: Identity,
    pub(super) state: State,
    /// The entries as they are written, with their numbers.
    pub(super) entries: Vec<(i64, String)>,
    /// Whether the journal goes on on the target.
    pub(super) on_target: bool,
    end: u64,
}

impl FileJournal {
    /// Takes the lock. Without a file there is `None`, unless one may be begun.
    pub(super) async fn hold(
        dir: &Path,
        name: &str,
        claim: Claim,
        begin: bool,
    ) -> Result<Option<Self>, Error> {
        let path = dir.join(JOURNAL);
        let deadline = Instant::now() + claim.patience().unwrap_or(FILE_LOCK_PATIENCE);
        loop {
            let Some(file) = open(&path, begin)? else {
                return Ok(None);
            };
            let wanted = match claim.patience() {
                None => None,
                Some(_) => Some(open_wanted(&path)?),
            };
            let both = async {
                if let Some(wanted) = &wanted {
                    lock(wanted, &path).await?;
                }
                lock(&file, &path).await
            };
            match tokio::time::timeout_at(deadline, both).await {
                Ok(locked) => locked?,
                Err(_) => return Err(held(name, claim)),
            }
            // The one who had it may have ended the migration, and removed the file.
            if still_there(&file, &path)? {
                let (end, next) = (0, 0);
                return Ok(Some(FileJournal {
                    path,
                    file,
                    end,
                    next,
                }));
            }
        }
    }

    /// Reads what is written; `None` where nothing is yet. The next line goes after it.
    pub(super) fn read(&mut self) -> Result<Option<Contents>, Error> {
        let found = read(&mut self.file, &self.path)?;
        (self.end, self.next) = match &found {
            Some(found) => (found.end, length(&found.entries)),
            None => (0, 0),
        };
        Ok(found)
    }

    /// Writes the first line.
    pub(super) fn begin(&mut self, identity: &Identity) -> Result<(), Error> {
        self.write(&Line::Migration {
            name: identity.name.clone(),
            id: identity.id.clone(),
            format: FORMAT,
        })?;
        // The name of a new file is on disk with its folder.
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let synced = File::open(dir).and_then(|dir| dir.sync_all());
        synced.map_err(|cause| file_error(&self.path, cause))
    }

    /// Writes an entry, durably.
    pub(super) fn append(&mut self, entry: &Entry) -> Result<(), Error> {
        let entry = Box::new(entry.clone());
        let seq = self.next;
        self.write(&Line::Entry { seq, entry })?;
        self.next += 1;
        Ok(())
    }

    /// Writes that the journal goes on on the target.
    pub(super) fn goes_on_on_target(&mut self) -> Result<(), Error> {
        self.write(&Line::OnTarget)
    }

    fn write(&mut self, line: &Line) -> Result<(), Error> {
        let mut text = serde_json::to_string(line).map_err(|error| Error::internal(&error))?;
        text.push('\n');
        let written = (|| {
            // Whatever a crash left behind the last whole line goes.
            self.file.set_len(self.end)?;
            self.file.seek(SeekFrom::Start(self.end))?;
            self.file.write_all(text.as_bytes())?;
            self.file.sync_all()
        })();
        written.map_err(|cause| file_error(&self.path, cause))?;
        self.end += text.len() as u64;
        Ok(())
    }

    /// Whether somebody waits for the migration.
    pub(super) fn is_wanted(&self) -> Result<bool, Error> {
        match open_wanted(&self.path)?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(cause)) => Err(file_error(&self.path, cause)),
        }
    }

    /// Lets whoever waits have the lock, and takes it again when they are done. Whether there
    /// is a migration still.
    pub(super) async fn lend(&mut self) -> Result<bool, Error> {
        let released = self.file.unlock();
        released.map_err(|cause| file_error(&self.path, cause))?;
        // Whoever waits lets this one go when they have the other.
        let wanted = open_wanted(&self.path)?;
        lock(&wanted, &self.path).await?;
        lock(&self.file, &self.path).await?;
        still_there(&self.file, &self.path)
    }

    /// Removes the file: the migration is over.
    pub(super) fn remove(self) -> Result<(), Error> {
        remove_at(&self.path)
    }
}

/// A journal that is a file, as somebody sees it who does not hold it.
pub(crate) struct Peeked {
    pub(crate) identity: Identity,
    pub(crate) state: State,
    /// Whether a process works on it.
    pub(crate) held: bool,
}

/// Reads the journal of a migration without holding it. `None` where it is not a file, or
/// goes on on the target.
pub(crate) fn peek(dir: &Path) -> Result<Option<Peeked>, Error> {
    let path = dir.join(JOURNAL);
    let Some(mut file) = open(&path, false)? else {
        return Ok(None);
    };
    let Some(found) = read(&mut file, &path)? else {
        return Ok(None);
    };
    if found.on_target {
        return Ok(None);
    }
    let held = match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(cause)) => return Err(file_error(&path, cause)),
    };
    Ok(Some(Peeked {
        identity: found.identity,
        state: found.state,
        held,
    }))
}

/// Whether a journal began as a file here and goes on on the target.
pub(crate) fn has_moved(dir: &Path) -> Result<bool, Error> {
    let path = dir.join(JOURNAL);
    let Some(mut file) = open(&path, false)? else {
        return Ok(false);
    };
    Ok(read(&mut file, &path)?.is_some_and(|found| found.on_target))
}

/// Who the migration of a folder is, wherever its journal goes on.
pub(crate) fn identity_in(dir: &Path) -> Result<Option<Identity>, Error> {
    let path = dir.join(JOURNAL);
    let Some(mut file) = open(&path, false)? else {
        return Ok(None);
    };
    Ok(read(&mut file, &path)?.map(|found| found.identity))
}

/// Removes what is left of a journal that went on on the target, once that is over.
pub(crate) fn remove(dir: &Path) -> Result<(), Error> {
    remove_at(&dir.join(JOURNAL))
}

fn remove_at(path: &Path) -> Result<(), Error> {
    for path in [path, &path.with_file_name(WANTED)] {
        match std::fs::remove_file(path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                return Err(file_error(path, cause));
            }
            _ => {}
        }
    }
    Ok(())
}

fn open(path: &Path, begin: bool) -> Result<Option<File>, Error> {
    let mut options = OpenOptions::new();
    match options.read(true).write(true).create(begin).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound && !begin => Ok(None),
        Err(cause) => Err(file_error(path, cause)),
    }
}

fn open_wanted(journal: &Path) -> Result<File, Error> {
    let path = journal.with_file_name(WANTED);
    let opened = OpenOptions::new().append(true).create(true).open(&path);
    opened.map_err(|cause| file_error(&path, cause))
}

/// Waits for a lock. Nothing tells when it becomes free, so it is tried again and again.
async fn lock(file: &File, path: &Path) -> Result<(), Error> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(FILE_LOCK_LOOK).await,
            Err(TryLockError::Error(cause)) => return Err(file_error(path, cause)),
        }
    }
}

fn held(name: &str, claim: Claim) -> Error {
    let hint = match claim.patience() {
        None => "wait for the other run to end, or end it",
        Some(_) => {
            "the other run did not hand over in time: it makes the copy, or another command waits"
        }
    };
    Error::Held {
        name: name.to_owned(),
        hint: hint.to_owned(),
    }
}

/// Whether the path leads to this file.
fn still_there(file: &File, path: &Path) -> Result<bool, Error> {
    let ours = file.metadata().map_err(|cause| file_error(path, cause))?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(file_error(path, cause)),
    }
}

fn read(file: &mut File, path: &Path) -> Result<Option<Contents>, Error> {
    let mut bytes = Vec::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_start| file.read_to_end(&mut bytes));
    read.map_err(|cause| file_error(path, cause))?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    let whole = end.map_or(&[][..], |end| &bytes[..=end]);
    let text = std::str::from_utf8(whole).map_err(|_| unusable(path, "it is not text"))?;
    let mut lines = text.lines();
    let Some(first) = lines.next() else {
        return Ok(None);
    };
    let mut contents = Contents {
        identity: identity(first).map_err(|why| unusable(path, &why))?,
        state: State::new(),
        entries: Vec::new(),
        on_target: false,
        end: whole.len() as u64,
    };
    for line in lines {
        contents.add(line).map_err(|why| unusable(path, &why))?;
    }
    Ok(Some(contents))
}

fn identity(first: &str) -> Result<Identity, String> {
    let other = |format| format!("its format is {format}, and this program writes {FORMAT}");
    match serde_json::from_str(first) {
        Ok(Line::Migration { name, id, format }) if format == FORMAT => Ok(Identity { name, id }),
        Ok(Line::Migration { format, .. }) => Err(other(format)),
        _ => Err("it does not begin as a journal does".to_owned()),
    }
}

impl Contents {
    fn add(&mut self, line: &str) -> Result<(), String> {
        let expected = length(&self.entries);
        let line: Line = serde_json::from_str(line)
            .map_err(|error| format!("entry {expected} cannot be read: {error}"))?;
        match line {
            Line::Entry { seq, entry } if seq == expected && !self.on_target => {
                self.state
                    .apply(&entry)
                    .map_err(|error| format!("entry {seq} does not follow: {error}"))?;
                let text = serde_json::to_string(&entry).map_err(|error| error.to_string())?;
                self.entries.push((seq, text));
                Ok(())
            }
            Line::OnTarget => {
                self.on_target = true;
                Ok(())
            }
            _ => Err(format!("entry {expected} is missing")),
        }
    }
}

/// How many entries there are: the next one's number.
pub(super) fn length(entries: &[(i64, String)]) -> i64 {
    i64::try_from(entries.len()).unwrap_or(i64::MAX)
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::JournalFile {
        path: path.display().to_string(),
        why: why.to_owned(),
    }
}

fn file_error(path: &Path, cause: std::io::Error) -> Error {
    Error::File {
        path: path.display().to_string(),
        cause,
    }
}

#[cfg(test)]
mod tests;
