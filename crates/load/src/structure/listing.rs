//! What `pg_restore --list` says there is: which numbers, in which section.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;

use super::entry::Section;
use super::lines::Lines;
use crate::error::LoadError;

/// An entry's line in `pg_restore --list`: `215; 1259 16385 TABLE public orders owner`. Of very
/// many entries the lines are much, so they stay in their file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    pub(crate) section: Section,
    /// Offset in bytes.
    at: u64,
    /// Bytes, without the line's end.
    length: u32,
    /// Its text was seen.
    pub(crate) seen: bool,
}

/// What `pg_restore --list` wrote of each section.
pub(crate) struct Lists {
    /// Of `--section=pre-data`.
    pub(crate) pre_data: File,
    /// Of `--section=post-data`.
    pub(crate) post_data: File,
}

impl Lists {
    fn file(&self, section: Section) -> &File {
        match section {
            Section::PreData => &self.pre_data,
            Section::PostData => &self.post_data,
        }
    }

    /// The line, without its end.
    pub(crate) fn line(&self, listed: &Listed) -> Result<String, LoadError> {
        let mut line = vec![0; listed.length as usize];
        let file = self.file(listed.section);
        file.read_exact_at(&mut line, listed.at)
            .map_err(|cause| LoadError::Toc(format!("its list: {cause}")))?;
        String::from_utf8(line).map_err(|_| LoadError::Toc("its list is not UTF-8".to_owned()))
    }

    /// What is listed, by number.
    pub(crate) fn read(&self) -> Result<HashMap<u32, Listed>, LoadError> {
        let mut by_id = HashMap::new();
        for section in [Section::PreData, Section::PostData] {
            let mut lines = Lines::new(BufReader::new(self.file(section)))?;
            while lines.advance()? {
                let line = lines.current.trim_end_matches('\n');
                if line.is_empty() || line.starts_with(';') {
                    continue;
                }
                let unread = || LoadError::Toc(format!("the list's line `{line}`"));
                let id = line.split_once(';').and_then(|(id, _)| id.parse().ok());
                let listed = Listed {
                    section,
                    at: lines.end - lines.current.len() as u64,
                    length: u32::try_from(line.len()).map_err(|_| unread())?,
                    seen: false,
                };
                by_id.insert(id.ok_or_else(unread)?, listed);
            }
        }
        Ok(by_id)
    }
}
