//! Rows read by their places, one after the other. Holds always: however large they are, one
//! row is in memory; and whoever stops early must come to the end all the same, or the session
//! is lost. After an error there is nothing more to wait for.

use std::collections::HashMap;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{CopyOut, Fault, OnSide, PgError, Session};

/// A value as the type's output function writes it; `None` is NULL.
pub(crate) type Text = Option<Vec<u8>>;

/// A running read.
pub(crate) struct Rows<'s> {
    copy: CopyOut<'s>,
    side: Side,
    doing: String,
    /// The places still to come, with their owners' numbers.
    awaited: HashMap<String, usize>,
    failed: bool,
}

impl<'s> Rows<'s> {
    /// Begins to read expressions over `t`, the rows of a table at some places (each with its
    /// owner's number).
    pub(crate) async fn open(
        session: &'s mut Session,
        side: Side,
        relation: &TableName,
        expressions: &[String],
        places: impl Iterator<Item = (String, usize)>,
    ) -> Result<Self, Fault> {
        let doing = format!("reading rows of {relation} that differ");
        let awaited: HashMap<String, usize> = places.collect();
        let list: Vec<String> = awaited.keys().map(|ctid| format!("\"{ctid}\"")).collect();
        let mut wanted = String::from("t.ctid");
        for expression in expressions {
            wanted.push_str(", ");
            wanted.push_str(expression);
        }
        let sql = format!(
            "COPY (SELECT {wanted} FROM ONLY {} AS t WHERE t.ctid = ANY ('{{{}}}'::tid[])) TO STDOUT",
            relation.quoted(),
            list.join(",")
        );
        let copy = session.copy_out(&sql).await.on(side, doing.as_str())?;
        Ok(Rows {
            copy,
            side,
            doing,
            awaited,
            failed: false,
        })
    }

    /// The next row's owner and values.
    pub(crate) async fn next(&mut self) -> Result<Option<(usize, Vec<Text>)>, Fault> {
        let line = self.copy.next().await;
        self.failed = line.is_err();
        let Some(line) = line.on(self.side, self.doing.as_str())? else {
            return Ok(None);
        };
        let mut values = fields(&line);
        let place = values.remove(0).unwrap_or_default();
        let place = String::from_utf8_lossy(&place).into_owned();
        let owner = self.awaited.remove(&place);
        let owner =
            owner.ok_or_else(|| PgError::Protocol("a row that was not asked for".to_owned()));
        Ok(Some((owner.on(self.side, self.doing.as_str())?, values)))
    }

    /// Reads to the end; gives the owners of places where no row was.
    pub(crate) async fn finish(mut self) -> Result<Vec<usize>, Fault> {
        while !self.failed && self.next().await?.is_some() {}
        let mut lacking: Vec<usize> = self.awaited.into_values().collect();
        lacking.sort_unstable();
        Ok(lacking)
    }
}

/// The fields of a line of COPY's text format (manual, COPY, "Text Format").
fn fields(line: &[u8]) -> Vec<Text> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.split(|&byte| byte == b'\t')
        .map(|field| (field != b"\\N").then(|| unescaped(field)))
        .collect()
}

fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        value.extend_from_slice(&rest[..at]);
        let escaped = rest.get(at + 1).copied();
        value.extend(escaped.map(|byte| match byte {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => other,
        }));
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    value.extend_from_slice(rest);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_copy_becomes_its_values() {
        let line = b"(0,1)\t\\N\t\ta\\tb\\\\N\\n\\b\\f\\v\\r\t\\\\N\n";
        let expected: Vec<Text> = vec![
            Some(b"(0,1)".to_vec()),
            None,
            Some(Vec::new()),
            Some(b"a\tb\\N\n\x08\x0c\x0b\r".to_vec()),
            Some(b"\\N".to_vec()),
        ];
        assert_eq!(fields(line), expected);
    }
}
