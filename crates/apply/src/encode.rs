//! Text forms of rows: array literals, COPY lines, JSON. Pure.

use std::fmt::Write as _;

use trunkline_changes::Value;

/// Builds an array literal element by element (manual, section 8.15.2); every value is
/// quoted, so that only quotes and backslashes need an escape.
pub(crate) struct ArrayLiteral {
    text: Vec<u8>,
    delimiter: u8,
}

impl ArrayLiteral {
    pub(crate) fn new(delimiter: u8) -> Self {
        ArrayLiteral {
            text: vec![b'{'],
            delimiter,
        }
    }

    /// Adds an element; a value that is not known must not come here and is written as NULL.
    pub(crate) fn push(&mut self, value: Value<'_>) {
        if self.text.len() > 1 {
            self.text.push(self.delimiter);
        }
        match value {
            Value::Text(text) => {
                self.text.push(b'"');
                escape_into(&mut self.text, text, |byte| match byte {
                    b'"' | b'\\' => Some(byte),
                    _ => None,
                });
                self.text.push(b'"');
            }
            Value::Null | Value::Unchanged => self.text.extend_from_slice(b"NULL"),
        }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.text.push(b'}');
        self.text
    }
}

/// Appends a row in COPY's text format (manual, COPY, "Text Format").
pub(crate) fn copy_line<'a>(line: &mut Vec<u8>, values: impl Iterator<Item = Value<'a>>) {
    for (index, value) in values.enumerate() {
        if index > 0 {
            line.push(b'\t');
        }
        match value {
            Value::Text(text) => escape_into(line, text, |byte| match byte {
                b'\\' => Some(b'\\'),
                b'\t' => Some(b't'),
                b'\n' => Some(b'n'),
                b'\r' => Some(b'r'),
                _ => None,
            }),
            Value::Null | Value::Unchanged => line.extend_from_slice(b"\\N"),
        }
    }
    line.push(b'\n');
}

/// Appends `text`, with a backslash and what `escape` gives in the place of each byte that
/// it gives something for.
fn escape_into(out: &mut Vec<u8>, text: &[u8], escape: impl Fn(u8) -> Option<u8>) {
    let mut plain = 0;
    for (index, &byte) in text.iter().enumerate() {
        if let Some(escaped) = escape(byte) {
            out.extend_from_slice(&text[plain..index]);
            out.extend_from_slice(&[b'\\', escaped]);
            plain = index + 1;
        }
    }
    out.extend_from_slice(&text[plain..]);
}

/// A JSON object of column names and values; values that were not sent are left out, all
/// others are strings or null.
pub(crate) fn json_object<'a>(fields: impl Iterator<Item = (&'a str, Value<'a>)>) -> String {
    let mut json = String::from("{");
    for (name, value) in fields {
        if value == Value::Unchanged {
            continue;
        }
        if json.len() > 1 {
            json.push(',');
        }
        json_string(&mut json, name);
        json.push(':');
        match value {
            Value::Text(text) => json_string(&mut json, &String::from_utf8_lossy(text)),
            Value::Null | Value::Unchanged => json.push_str("null"),
        }
    }
    json.push('}');
    json
}

fn json_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _written = write!(json, "\\u{:04x}", u32::from(control));
            }
            plain => json.push(plain),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::{ArrayLiteral, copy_line, json_object};
    use trunkline_changes::Value;

    #[test]
    fn array_elements_are_quoted_and_null_is_not() {
        let mut literal = ArrayLiteral::new(b',');
        for value in [
            Value::Text(b"a\"b\\c"),
            Value::Null,
            Value::Text(b"NULL"),
            Value::Text(b""),
        ] {
            literal.push(value);
        }
        assert_eq!(literal.finish(), br#"{"a\"b\\c",NULL,"NULL",""}"#);
        let mut boxes = ArrayLiteral::new(b';');
        boxes.push(Value::Text(b"(1,1),(0,0)"));
        boxes.push(Value::Text(b"(2,2),(1,1)"));
        assert_eq!(boxes.finish(), br#"{"(1,1),(0,0)";"(2,2),(1,1)"}"#);
    }

    #[test]
    fn copy_lines_escape_what_copy_reads() {
        let mut line = Vec::new();
        copy_line(
            &mut line,
            [Value::Text(b"a\tb\nc\rd\\N"), Value::Null, Value::Text(b"")].into_iter(),
        );
        assert_eq!(line, b"a\\tb\\nc\\rd\\\\N\t\\N\t\n");
    }

    #[test]
    fn parked_rows_are_valid_json() {
        let fields = [
            ("i\"d", Value::Text(b"1\n")),
            ("toast", Value::Unchanged),
            ("none", Value::Null),
        ];
        assert_eq!(
            json_object(fields.into_iter()),
            r#"{"i\"d":"1\u000a","none":null}"#
        );
    }
}
