//! One line of the output, cut into its parts without a copy. Pure. Names and types stay
//! quoted as the server printed them; values stay doubled where they hold a quote.

use super::commit_time;
use memchr::memchr;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// `BEGIN 529`.
    Begin {
        /// The top-level transaction's id.
        xid: u32,
    },
    /// `COMMIT 529 (at 2026-01-31 12:00:00.5+00)`.
    Commit {
        /// The top-level transaction's id.
        xid: u32,
        /// Microseconds since 2000-01-01 UTC.
        committed_at_micros: i64,
    },
    /// `message: transactional: 1 prefix: p, sz: 2 content:hi`.
    Emitted {
        /// Whether it belongs to a transaction.
        transactional: bool,
        /// The prefix that names the sender.
        prefix: &'a [u8],
        /// What it says.
        content: &'a [u8],
    },
    /// `table public.t: INSERT: …`.
    Change {
        /// `schema.table`, quoted where the server does.
        table: &'a [u8],
        /// What was done.
        operation: Operation<'a>,
    },
    /// `table public.a, public.b: TRUNCATE: restart_seqs cascade`.
    Truncate {
        /// The tables, as in [`Line::Change`].
        tables: Vec<&'a [u8]>,
        /// CASCADE was said.
        cascade: bool,
        /// RESTART IDENTITY was said.
        restart_identity: bool,
    },
}

/// What a line of a table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// A new row.
    Insert(Cells<'a>),
    /// A changed row; the rest of the line, which [`Operation::rows`] divides.
    Update(&'a [u8]),
    /// The old row or its key.
    Delete(Cells<'a>),
}

impl<'a> Operation<'a> {
    /// The old row, if one is there, and the new one.
    pub fn rows(self) -> Result<(Option<Cells<'a>>, Option<Cells<'a>>), Unreadable> {
        match self {
            Operation::Insert(new) => Ok((None, Some(new))),
            Operation::Delete(old) => Ok((Some(old), None)),
            Operation::Update(rest) => {
                let Some(old) = rest.strip_prefix(b" old-key:") else {
                    return Ok((None, Some(Cells(rest))));
                };
                let mut cells = Cells(old);
                while !cells.0.starts_with(b" new-tuple:") {
                    if cells.next_cell()?.is_none() {
                        return Err(Unreadable("an old row without a new one"));
                    }
                }
                let length = old.len() - cells.0.len();
                let new = &cells.0[b" new-tuple:".len()..];
                Ok((Some(Cells(&old[..length])), Some(Cells(new))))
            }
        }
    }
}

/// The columns of one row: ` id[integer]:1 name[text]:'x'`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells<'a>(&'a [u8]);

/// One column of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// `name[type]`, quoted where the server does.
    pub head: &'a [u8],
    /// How many bytes of the head are the name.
    pub name_bytes: usize,
    /// The value.
    pub value: CellValue<'a>,
}

/// A value as it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellValue<'a> {
    /// `null`.
    Null,
    /// `unchanged-toast-datum`.
    Unchanged,
    /// Without quotes: a number, or a bool in words.
    Bare(&'a [u8]),
    /// Between quotes; a quote in it is doubled.
    Quoted(&'a [u8]),
}

/// Why a line cannot be read. It holds nothing of the line: rows belong in no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of test_decoding cannot be read: {0}")]
pub struct Unreadable(pub &'static str);

impl<'a> Cells<'a> {
    /// Whether the server had no row to print.
    pub fn are_missing(self) -> bool {
        self.0 == b" (no-tuple-data)"
    }

    /// The next column, or `None` at the end.
    pub fn next_cell(&mut self) -> Result<Option<Cell<'a>>, Unreadable> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let Some(rest) = self.0.strip_prefix(b" ") else {
            return Err(Unreadable("a column does not begin with a space"));
        };
        let name_bytes = identifier_bytes(rest)?;
        let head_bytes = name_bytes + type_bytes(&rest[name_bytes..])?;
        let (head, rest) = rest.split_at(head_bytes);
        let Some(rest) = rest.strip_prefix(b":") else {
            return Err(Unreadable("no value follows a column"));
        };
        let (value, rest) = value(rest)?;
        self.0 = rest;
        Ok(Some(Cell {
            head,
            name_bytes,
            value,
        }))
    }

    /// As [`Cells::next_cell`], faster when the next column is the one that is expected.
    pub fn next_like(&mut self, head: &[u8]) -> Result<Option<CellValue<'a>>, Unreadable> {
        let rest = self
            .0
            .strip_prefix(b" ")
            .and_then(|rest| rest.strip_prefix(head));
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix(b":")) else {
            return Ok(None);
        };
        let (value, rest) = value(rest)?;
        self.0 = rest;
        Ok(Some(value))
    }

    /// The size of what is left.
    pub fn bytes(self) -> usize {
        self.0.len()
    }

    /// Whether every column was taken.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// Reads one line.
pub fn parse(line: &[u8]) -> Result<Line<'_>, Unreadable> {
    if let Some(rest) = line.strip_prefix(b"table ") {
        return of_table(rest);
    }
    if let Some(rest) = line.strip_prefix(b"BEGIN ") {
        let xid = number(rest)?;
        return Ok(Line::Begin { xid });
    }
    if let Some(rest) = line.strip_prefix(b"COMMIT ") {
        return commit(rest);
    }
    if let Some(rest) = line.strip_prefix(b"message: transactional: ") {
        return emitted(rest);
    }
    Err(Unreadable("it begins in no known way"))
}

fn commit(rest: &[u8]) -> Result<Line<'_>, Unreadable> {
    const WRONG: Unreadable = Unreadable("a COMMIT without its time");
    let gap = rest.iter().position(|&byte| byte == b' ').ok_or(WRONG)?;
    let (xid, at) = rest.split_at(gap);
    let at = at
        .strip_prefix(b" (at ")
        .and_then(|at| at.strip_suffix(b")"));
    Ok(Line::Commit {
        xid: number(xid)?,
        committed_at_micros: at.and_then(commit_time::parse).ok_or(WRONG)?,
    })
}

fn emitted(rest: &[u8]) -> Result<Line<'_>, Unreadable> {
    const WRONG: Unreadable = Unreadable("a message that does not have its form");
    const SIZE: &[u8] = b", sz: ";
    let transactional = match rest.first() {
        Some(b'0') => false,
        Some(b'1') => true,
        _ => return Err(WRONG),
    };
    let rest = rest[1..].strip_prefix(b" prefix: ").ok_or(WRONG)?;
    // The prefix is not quoted. The size after it must be that of what is left.
    for start in 0..rest.len() {
        let Some(after) = rest[start..].strip_prefix(SIZE) else {
            continue;
        };
        let digits = after
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let size = std::str::from_utf8(&after[..digits])
            .ok()
            .and_then(|text| text.parse().ok());
        let content = after[digits..].strip_prefix(b" content:");
        if let (Some(content), Some(size)) = (content, size)
            && content.len() == size
        {
            return Ok(Line::Emitted {
                transactional,
                prefix: &rest[..start],
                content,
            });
        }
    }
    Err(WRONG)
}

fn of_table(rest: &[u8]) -> Result<Line<'_>, Unreadable> {
    let length = table_bytes(rest)?;
    let (table, mut rest) = rest.split_at(length);
    let mut tables = vec![table];
    while let Some(more) = rest.strip_prefix(b", ") {
        let length = table_bytes(more)?;
        tables.push(&more[..length]);
        rest = &more[length..];
    }
    if let Some(flags) = rest.strip_prefix(b": TRUNCATE:") {
        let (restart_identity, cascade) = match flags {
            b" (no-flags)" => (false, false),
            b" restart_seqs" => (true, false),
            b" cascade" => (false, true),
            b" restart_seqs cascade" => (true, true),
            _ => return Err(Unreadable("a TRUNCATE with unknown flags")),
        };
        return Ok(Line::Truncate {
            tables,
            cascade,
            restart_identity,
        });
    }
    let operation = if let Some(new) = rest.strip_prefix(b": INSERT:") {
        Operation::Insert(Cells(new))
    } else if let Some(rest) = rest.strip_prefix(b": UPDATE:") {
        Operation::Update(rest)
    } else if let Some(old) = rest.strip_prefix(b": DELETE:") {
        Operation::Delete(Cells(old))
    } else {
        return Err(Unreadable("a table without a known operation"));
    };
    if tables.len() > 1 {
        return Err(Unreadable("several tables and no TRUNCATE"));
    }
    Ok(Line::Change { table, operation })
}

fn number(digits: &[u8]) -> Result<u32, Unreadable> {
    let text = std::str::from_utf8(digits).ok();
    text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(Unreadable("a transaction's id that is no number"))
}

/// The length of `schema.table`.
fn table_bytes(bytes: &[u8]) -> Result<usize, Unreadable> {
    let schema = identifier_bytes(bytes)?;
    if bytes.get(schema) != Some(&b'.') {
        return Err(Unreadable("a table without a schema"));
    }
    Ok(schema + 1 + identifier_bytes(&bytes[schema + 1..])?)
}

/// The length of an identifier as `quote_ident` of the server prints it.
fn identifier_bytes(bytes: &[u8]) -> Result<usize, Unreadable> {
    if bytes.first() == Some(&b'"') {
        return quoted_bytes(bytes, b'"');
    }
    let plain = |byte: &&u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    match bytes.iter().take_while(plain).count() {
        0 => Err(Unreadable("a name is missing")),
        length => Ok(length),
    }
}

/// The length of `[type]`; a type may be quoted, and be an array.
fn type_bytes(bytes: &[u8]) -> Result<usize, Unreadable> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at += quoted_bytes(&bytes[at..], b'"')? - 1,
            b'[' => depth += 1,
            b']' if depth > 0 => depth -= 1,
            _ if depth == 0 => break,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Ok(at);
        }
    }
    Err(Unreadable("a column without its type"))
}

/// The length of what is between quotes, quotes included; one inside is doubled.
fn quoted_bytes(bytes: &[u8], quote: u8) -> Result<usize, Unreadable> {
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(quote, rest)) {
        at += found + 1;
        if bytes.get(at) != Some(&quote) {
            return Ok(at);
        }
        at += 1;
    }
    Err(Unreadable("a quote that does not end"))
}

/// The value that begins here, and what follows it.
fn value(bytes: &[u8]) -> Result<(CellValue<'_>, &[u8]), Unreadable> {
    let bits = usize::from(bytes.starts_with(b"B'"));
    let (value, rest) = if bytes.get(bits) == Some(&b'\'') {
        let length = quoted_bytes(&bytes[bits..], b'\'')?;
        let (quoted, rest) = bytes[bits..].split_at(length);
        (CellValue::Quoted(&quoted[1..length - 1]), rest)
    } else {
        let length = bytes
            .iter()
            .position(|&byte| byte == b' ')
            .unwrap_or(bytes.len());
        let (bare, rest) = bytes.split_at(length);
        let value = match bare {
            b"" => return Err(Unreadable("a value is missing")),
            b"null" => CellValue::Null,
            b"unchanged-toast-datum" => CellValue::Unchanged,
            bare => CellValue::Bare(bare),
        };
        (value, rest)
    };
    if rest.first().is_some_and(|&byte| byte != b' ') {
        return Err(Unreadable("a value is followed by something else"));
    }
    Ok((value, rest))
}

/// An identifier without its quotes.
pub(super) fn unquoted(raw: &[u8]) -> Vec<u8> {
    match raw
        .strip_prefix(b"\"")
        .and_then(|raw| raw.strip_suffix(b"\""))
    {
        Some(inner) => undoubled(inner, b'"'),
        None => raw.to_vec(),
    }
}

/// Schema and table without quotes.
pub(super) fn table_parts(raw: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Unreadable> {
    let schema = identifier_bytes(raw)?;
    Ok((unquoted(&raw[..schema]), unquoted(&raw[schema + 1..])))
}

/// What stood between quotes, with each pair of quotes made one.
pub(super) fn undoubled(inner: &[u8], quote: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(found) = memchr(quote, rest) {
        out.extend_from_slice(&rest[..=found]);
        rest = rest.get(found + 2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}
