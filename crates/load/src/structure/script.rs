//! The SQL of entries, left in the file that `pg_restore` wrote: of very many tables it is more
//! than all else that is known of them.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::lines::Lines;
use super::options::without_server_marks;
use crate::error::LoadError;

/// Where an entry's SQL lies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// `None` for an entry that was not cut from a dump.
    pub(crate) within: Option<Arc<Within>>,
    /// Offset in bytes.
    pub(crate) at: u64,
    /// Bytes.
    pub(crate) length: u32,
}

/// What many entries have in common.
#[derive(Debug)]
pub(crate) struct Within {
    /// The file that their SQL lies in.
    pub(crate) text: Arc<File>,
    /// Settings that they are made under, as SQL.
    pub(crate) settings: String,
}

impl Script {
    /// The settings and the SQL, without what no server takes.
    pub(crate) fn read(&self) -> Result<String, LoadError> {
        let unread = |why: String| LoadError::Toc(format!("an entry's text cannot be read: {why}"));
        let within = self.within.as_ref();
        let within = within.ok_or_else(|| unread("there is none".to_owned()))?;
        let mut bytes = vec![0; self.length as usize];
        let text = &within.text;
        text.read_exact_at(&mut bytes, self.at)
            .map_err(|cause| unread(cause.to_string()))?;
        let body = String::from_utf8(bytes).map_err(|cause| unread(cause.to_string()))?;
        Ok(finished(&within.settings, &body))
    }
}

/// What is run for a body that was cut out.
pub(crate) fn finished(settings: &str, body: &str) -> String {
    settings.to_owned() + &without_server_marks(body)
}

/// Opens a text and takes it out of its folder: nobody else needs it, and it goes with its last
/// entry.
pub(crate) fn take(path: &Path) -> Result<File, LoadError> {
    let opened = File::open(path).and_then(|file| std::fs::remove_file(path).map(|()| file));
    opened.map_err(|cause: io::Error| LoadError::File {
        doing: "reading",
        path: path.to_owned(),
        cause,
    })
}

/// What stands before the first entry that a text makes: with `--clean`, what drops them all.
pub(crate) fn up_to_entries(text: File) -> Result<String, LoadError> {
    let mut lines = Lines::new(BufReader::new(text))?;
    let mut before = String::new();
    while lines.advance()? {
        if lines.current == "--\n" && lines.next.starts_with("-- Name: ") {
            break;
        }
        before.push_str(&lines.current);
    }
    Ok(before)
}
