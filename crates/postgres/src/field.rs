//! Values in PostgreSQL's text format: parameters on the way in, fields on the way out.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Buf, Bytes};
use smol_str::SmolStr;
use trunkline_changes::{Lsn, TableName};

use crate::error::PgError;

/// What can be a statement's parameter, in text; `None` is NULL.
pub trait ToParam: Sync {
    /// The text.
    fn to_param(&self) -> Option<Cow<'_, [u8]>>;
}

macro_rules! to_param_by_display {
    ($($type:ty),*) => {$(
        impl ToParam for $type {
            fn to_param(&self) -> Option<Cow<'_, [u8]>> {
                Some(Cow::Owned(self.to_string().into_bytes()))
            }
        }
    )*};
}

to_param_by_display!(i16, i32, i64, u16, u32, u64, usize, f64, bool, Lsn);

impl ToParam for str {
    fn to_param(&self) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.as_bytes()))
    }
}

impl ToParam for SmolStr {
    fn to_param(&self) -> Option<Cow<'_, [u8]>> {
        self.as_str().to_param()
    }
}

impl ToParam for String {
    fn to_param(&self) -> Option<Cow<'_, [u8]>> {
        self.as_str().to_param()
    }
}

impl<T: ToParam + ?Sized> ToParam for &T {
    fn to_param(&self) -> Option<Cow<'_, [u8]>> {
        (**self).to_param()
    }
}

impl<T: ToParam> ToParam for Option<T> {
    fn to_param(&self) -> Option<Cow<'_, [u8]>> {
        self.as_ref().and_then(ToParam::to_param)
    }
}

impl<T: ToParam> ToParam for [T] {
    /// An array literal (manual, section 8.15.2); every element quoted.
    fn to_param(&self) -> Option<Cow<'_, [u8]>> {
        let mut literal = vec![b'{'];
        for (index, element) in self.iter().enumerate() {
            if index > 0 {
                literal.push(b',');
            }
            push_array_element(&mut literal, element.to_param().as_deref());
        }
        literal.push(b'}');
        Some(Cow::Owned(literal))
    }
}

impl<T: ToParam> ToParam for Vec<T> {
    fn to_param(&self) -> Option<Cow<'_, [u8]>> {
        self.as_slice().to_param()
    }
}

/// Adds one element to an array literal, quoted; `None` is NULL.
pub fn push_array_element(literal: &mut Vec<u8>, element: Option<&[u8]>) {
    let Some(text) = element else {
        literal.extend_from_slice(b"NULL");
        return;
    };
    literal.push(b'"');
    for &byte in text {
        if byte == b'"' || byte == b'\\' {
            literal.push(b'\\');
        }
        literal.push(byte);
    }
    literal.push(b'"');
}

/// One row of a result, in text.
#[derive(Clone)]
pub struct DataRow {
    body: Bytes,
    fields: Vec<Option<Range<usize>>>,
}

impl DataRow {
    pub(crate) fn parse(body: Bytes) -> Result<Self, PgError> {
        let malformed = || PgError::Protocol("a malformed row".to_owned());
        let mut rest = &body[..];
        let count = rest.try_get_u16().map_err(|_| malformed())?;
        let mut fields = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let length = rest.try_get_i32().map_err(|_| malformed())?;
            let Ok(length) = usize::try_from(length) else {
                fields.push(None);
                continue;
            };
            let start = body.len() - rest.len();
            if rest.len() < length {
                return Err(malformed());
            }
            rest.advance(length);
            fields.push(Some(start..start + length));
        }
        Ok(DataRow { body, fields })
    }

    /// How many fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The bytes of a field; `None` is NULL (or no such field).
    pub fn raw(&self, column: usize) -> Option<&[u8]> {
        let range = self.fields.get(column)?.clone()?;
        Some(&self.body[range])
    }

    /// A field as a Rust value. The error names the column's number, never the value.
    pub fn get<T: FromField>(&self, column: usize) -> Result<T, PgError> {
        if column >= self.fields.len() {
            return Err(unreadable(column, "a column that is not in the result"));
        }
        T::from_field(self.raw(column)).map_err(|why| unreadable(column, why))
    }

    /// The table whose schema and name are in these fields.
    pub fn table_name(&self, schema: usize, name: usize) -> Result<TableName, PgError> {
        Ok(TableName {
            schema: self.get(schema)?,
            name: self.get(name)?,
        })
    }
}

fn unreadable(column: usize, why: &str) -> PgError {
    PgError::Conversion {
        what: format!("column {column}"),
        why: why.to_owned(),
    }
}

/// What a field can be read as.
pub trait FromField: Sized {
    /// From the text; the error says what was expected.
    fn from_field(field: Option<&[u8]>) -> Result<Self, &'static str>;
}

fn text(field: Option<&[u8]>) -> Result<&str, &'static str> {
    let bytes = field.ok_or("a value that is not NULL")?;
    std::str::from_utf8(bytes).map_err(|_| "UTF-8")
}

macro_rules! from_field_by_parse {
    ($($type:ty => $name:literal),*) => {$(
        impl FromField for $type {
            fn from_field(field: Option<&[u8]>) -> Result<Self, &'static str> {
                text(field)?.parse().map_err(|_| $name)
            }
        }
    )*};
}

from_field_by_parse!(
    i16 => "a smallint", i32 => "an integer", i64 => "a bigint", u32 => "an unsigned integer",
    u64 => "an unsigned bigint", f64 => "a double precision", Lsn => "a pg_lsn"
);

impl FromField for String {
    fn from_field(field: Option<&[u8]>) -> Result<Self, &'static str> {
        text(field).map(str::to_owned)
    }
}

impl FromField for SmolStr {
    fn from_field(field: Option<&[u8]>) -> Result<Self, &'static str> {
        text(field).map(SmolStr::from)
    }
}

impl FromField for Vec<u8> {
    fn from_field(field: Option<&[u8]>) -> Result<Self, &'static str> {
        field.map(<[u8]>::to_vec).ok_or("a value that is not NULL")
    }
}

impl FromField for bool {
    fn from_field(field: Option<&[u8]>) -> Result<Self, &'static str> {
        match text(field)? {
            "t" | "true" => Ok(true),
            "f" | "false" => Ok(false),
            _ => Err("a boolean"),
        }
    }
}

impl<T: FromField> FromField for Option<T> {
    fn from_field(field: Option<&[u8]>) -> Result<Self, &'static str> {
        field.map(|_| T::from_field(field)).transpose()
    }
}

macro_rules! from_field_by_array {
    ($($type:ty),*) => {$(
        impl FromField for Vec<$type> {
            fn from_field(field: Option<&[u8]>) -> Result<Self, &'static str> {
                let elements = array_elements(text(field)?)?;
                elements
                    .iter()
                    .map(|element| <$type>::from_field(element.as_deref().map(str::as_bytes)))
                    .collect()
            }
        }
    )*};
}

from_field_by_array!(
    String,
    Option<String>,
    SmolStr,
    i16,
    i32,
    i64,
    u32,
    bool,
    Option<i64>
);

/// The elements of a one-dimensional array literal (manual, section 8.15.6).
fn array_elements(literal: &str) -> Result<Vec<Option<String>>, &'static str> {
    const WANTED: &str = "a one-dimensional array";
    let inner = literal
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or(WANTED)?;
    let mut elements = Vec::new();
    let mut characters = inner.chars().peekable();
    while characters.peek().is_some() {
        let mut element = String::new();
        let quoted = characters.next_if_eq(&'"').is_some();
        loop {
            match characters.next() {
                Some('\\') => element.push(characters.next().ok_or(WANTED)?),
                Some('"') if quoted => break,
                Some(',') if !quoted => break,
                Some('{' | '}') if !quoted => return Err(WANTED),
                Some(character) => element.push(character),
                None if quoted => return Err(WANTED),
                None => break,
            }
        }
        if quoted && !matches!(characters.next(), None | Some(',')) {
            return Err(WANTED);
        }
        let null = !quoted && element == "NULL";
        elements.push((!null).then_some(element));
    }
    Ok(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_literals_read_back_as_they_were_written() {
        let values = vec![
            Some("plain".to_owned()),
            Some(String::new()),
            None,
            Some("a \"quoted\", {braced} \\ one".to_owned()),
            Some("NULL".to_owned()),
        ];
        let literal = values.to_param().expect("an array is never NULL");
        assert_eq!(
            Vec::<Option<String>>::from_field(Some(&literal)),
            Ok(values)
        );
        assert_eq!(Vec::<String>::from_field(Some(b"{}")), Ok(Vec::new()));
    }

    #[test]
    fn a_malformed_array_is_an_error() {
        for literal in ["", "{", "{{1}}", "{\"a}", "{\"a\"b}"] {
            assert!(
                Vec::<String>::from_field(Some(literal.as_bytes())).is_err(),
                "{literal}"
            );
        }
    }

    #[test]
    fn a_malformed_row_is_an_error() {
        for body in [&b""[..], b"\0\x01", b"\0\x01\0\0\0\x05abc"] {
            assert!(DataRow::parse(Bytes::copy_from_slice(body)).is_err());
        }
    }
}
