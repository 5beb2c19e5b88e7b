//! A text line by line.

use std::io::BufRead;

use crate::error::LoadError;

/// The lines of a text, the next one in sight.
pub(crate) struct Lines<R> {
    reader: R,
    /// With its end; empty at the end of the text.
    pub(crate) current: String,
    /// The line after it.
    pub(crate) next: String,
    /// Where the current line ends, in bytes.
    pub(crate) end: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Result<Self, LoadError> {
        let mut lines = Lines {
            reader,
            current: String::new(),
            next: String::new(),
            end: 0,
        };
        lines.look_ahead()?;
        Ok(lines)
    }

    /// Goes to the next line; false at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, LoadError> {
        std::mem::swap(&mut self.current, &mut self.next);
        self.end += self.current.len() as u64;
        self.look_ahead()?;
        Ok(!self.current.is_empty())
    }

    fn look_ahead(&mut self) -> Result<(), LoadError> {
        self.next.clear();
        let read = self.reader.read_line(&mut self.next);
        read.map_err(|cause| LoadError::Toc(format!("its text: {cause}")))?;
        Ok(())
    }
}

/// The last line of a text, with its end.
pub(crate) fn last_line(text: &str) -> &str {
    let before = text.strip_suffix('\n').unwrap_or(text);
    &text[before.rfind('\n').map_or(0, |place| place + 1)..]
}
