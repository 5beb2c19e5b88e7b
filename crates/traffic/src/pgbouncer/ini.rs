//! `pgbouncer.ini`, read and changed in place. Holds always: a byte that is not part of a
//! value asked for is the byte that stood there.
//!
//! What counts is PgBouncer's own reader: comments fill whole lines (`;` or `#` later in a
//! line is text), a value ends with its line, and within it `key=value` pairs are parted by
//! space, a value in single quotes doubles the quotes in it. A file without any section is
//! one that `%include` brings into `[databases]`.

use std::ops::Range;

use crate::address::Address;
use crate::failure::Failure;

/// PostgreSQL's port, which a line may leave out.
const DEFAULT_PORT: &str = "5432";

/// One `name = value` of `[databases]`.
struct Entry {
    name: String,
    value: Range<usize>,
}

/// One `key=value` of an entry's value.
struct Pair {
    key: String,
    value: String,
    /// The value with its quotes.
    at: Range<usize>,
    is_quoted: bool,
}

/// The text with the lines of these databases pointing to the address.
pub(crate) fn point(text: &str, databases: &[String], to: &Address) -> Result<String, Failure> {
    let entries = entries(text)?;
    for database in databases {
        if !entries.iter().any(|entry| entry.name == *database) {
            return Err(missing(text, &entries, database));
        }
    }
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for entry in entries
        .iter()
        .filter(|entry| databases.contains(&entry.name))
    {
        edits.extend(edits_of(text, entry, to)?);
    }
    let mut changed = text.to_owned();
    // From the end, so that places before it stay what they are.
    for (at, new) in edits.into_iter().rev() {
        changed.replace_range(at, &new);
    }
    Ok(changed)
}

fn missing(text: &str, entries: &[Entry], database: &str) -> Failure {
    let mut why = format!("[databases] has no line `{database} = …`");
    if entries.iter().any(|entry| entry.name == "*") {
        why.push_str(
            "; the line `*` serves it, and databases that came by it keep their server over a \
             RELOAD: give it a line of its own",
        );
    }
    if text
        .lines()
        .any(|line| line.trim_start().starts_with("%include"))
    {
        why.push_str("; if it stands in an included file, name that file as `config`");
    }
    Failure::Found(why)
}

/// What has to change in one line, in the order of the text.
fn edits_of(
    text: &str,
    entry: &Entry,
    to: &Address,
) -> Result<Vec<(Range<usize>, String)>, Failure> {
    let pairs = pairs(text, entry)?;
    let port = to.port.to_string();
    let wanted = [
        ("host", to.host.as_str(), None),
        ("port", port.as_str(), Some(DEFAULT_PORT)),
        ("dbname", to.database.as_str(), Some(entry.name.as_str())),
    ];
    let mut edits = Vec::new();
    let mut added = String::new();
    for (key, value, default) in wanted {
        let mut is_there = false;
        for pair in pairs.iter().filter(|pair| pair.key == key) {
            is_there = true;
            if pair.value != value {
                edits.push((pair.at.clone(), written(value, pair.is_quoted)));
            }
        }
        if !is_there && default != Some(value) {
            let space = if pairs.is_empty() && added.is_empty() {
                ""
            } else {
                " "
            };
            added = format!("{added}{space}{key}={}", written(value, false));
        }
    }
    edits.sort_by_key(|(at, _)| at.start);
    if !added.is_empty() {
        edits.push((entry.value.end..entry.value.end, added));
    }
    Ok(edits)
}

/// A value as PgBouncer reads it back.
fn written(value: &str, quoted: bool) -> String {
    let is_plain = !value.is_empty()
        && !value.starts_with('\'')
        && !value.bytes().any(|byte| is_space(byte) || byte == b'\n');
    if is_plain && !quoted {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "''"))
    }
}

/// C's `isspace`, without the end of the line.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

/// The text, read from a place on.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn line_number(&self) -> usize {
        let before = self.text[..self.at].bytes();
        before.filter(|byte| *byte == b'\n').count() + 1
    }

    fn wrong(&self, what: &str) -> Failure {
        Failure::Found(format!("line {}: {what}", self.line_number()))
    }

    /// What stands between two quotes of a kind, which are doubled inside; `None` where the
    /// second is missing.
    fn quoted(&mut self, quote: u8) -> Option<String> {
        self.at += 1;
        let mut value = String::new();
        loop {
            value.push_str(self.take_while(|byte| byte != quote && byte != b'\n'));
            if self.peek() != Some(quote) {
                return None;
            }
            self.at += 1;
            if self.peek() != Some(quote) {
                return Some(value);
            }
            value.push(char::from(quote));
            self.at += 1;
        }
    }
}

/// Every entry of `[databases]`, in the order of the text.
fn entries(text: &str) -> Result<Vec<Entry>, Failure> {
    let mut reader = Reader { text, at: 0 };
    let mut found = Vec::new();
    let mut in_databases = true;
    loop {
        reader.take_while(|byte| is_space(byte) || byte == b'\n');
        match reader.peek() {
            None => return Ok(found),
            Some(b'#' | b';' | b'%') => {
                reader.take_while(|byte| byte != b'\n');
            }
            Some(b'[') => {
                reader.at += 1;
                let name = reader.take_while(|byte| byte != b']' && byte != b'\n');
                if reader.peek() != Some(b']') {
                    return Err(reader.wrong("a section's name without its end"));
                }
                reader.at += 1;
                in_databases = name == "databases";
            }
            Some(_) => {
                let entry = entry(&mut reader)?;
                if in_databases {
                    found.push(entry);
                }
            }
        }
    }
}

fn entry(reader: &mut Reader<'_>) -> Result<Entry, Failure> {
    let name = if reader.peek() == Some(b'"') {
        let quoted = reader.quoted(b'"');
        quoted.ok_or_else(|| reader.wrong("a quote that does not end"))?
    } else {
        let plain = |byte: u8| !is_space(byte) && byte != b'=' && byte != b'\n';
        reader.take_while(plain).to_owned()
    };
    reader.take_while(is_space);
    if reader.peek() != Some(b'=') {
        return Err(reader.wrong("a name without `=`"));
    }
    reader.at += 1;
    reader.take_while(is_space);
    let start = reader.at;
    let value = reader.take_while(|byte| byte != b'\n');
    let length = value.trim_end_matches(|c: char| u8::try_from(c).is_ok_and(is_space));
    Ok(Entry {
        name,
        value: start..start + length.len(),
    })
}

fn pairs(text: &str, entry: &Entry) -> Result<Vec<Pair>, Failure> {
    let mut reader = Reader {
        text: &text[..entry.value.end],
        at: entry.value.start,
    };
    let mut found = Vec::new();
    loop {
        reader.take_while(is_space);
        if reader.peek().is_none() {
            return Ok(found);
        }
        let key = reader.take_while(|byte| !is_space(byte) && byte != b'=');
        reader.take_while(is_space);
        if reader.peek() != Some(b'=') {
            // Not repeated: it may be a piece of a password.
            return Err(reader.wrong("a connection string in which `=` is missing"));
        }
        reader.at += 1;
        reader.take_while(is_space);
        let start = reader.at;
        let is_quoted = reader.peek() == Some(b'\'');
        let value = if is_quoted {
            let quoted = reader.quoted(b'\'');
            quoted.ok_or_else(|| reader.wrong("a quote that does not end"))?
        } else {
            reader.take_while(|byte| !is_space(byte)).to_owned()
        };
        if reader.peek().is_some_and(|byte| !is_space(byte)) {
            return Err(reader.wrong("text that follows a quote's end"));
        }
        found.push(Pair {
            key: key.to_owned(),
            value,
            at: start..reader.at,
            is_quoted,
        });
    }
}

#[cfg(test)]
mod tests;
