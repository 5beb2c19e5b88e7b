//! A row of the stream: text values that borrow the message they came in.

use bytes::{BufMut, Bytes, BytesMut};
use std::fmt;

/// One value of a row, in PostgreSQL's text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// SQL NULL.
    Null,
    /// An out-of-line (TOAST) value that did not change and was not sent.
    Unchanged,
    /// The text of the type's output function, in the client encoding.
    Text(&'a [u8]),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Null,
    Unchanged,
    Text { start: u32, length: u32 },
}

/// The values of one row, in the order of its relation's columns. Cheap to clone in the
/// sense that the bytes are shared; a row keeps the buffer alive that it was cut from.
#[derive(Clone)]
pub struct Row {
    data: Bytes,
    cells: Box<[Cell]>,
}

impl Row {
    /// How many values.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there is no value at all.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The value at a column's index.
    ///
    /// # Panics
    /// When the index is not below [`Row::len`].
    pub fn value(&self, index: usize) -> Value<'_> {
        match self.cells[index] {
            Cell::Null => Value::Null,
            Cell::Unchanged => Value::Unchanged,
            Cell::Text { start, length } => {
                Value::Text(&self.data[start as usize..(start + length) as usize])
            }
        }
    }

    /// All values, in column order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Value<'_>> + '_ {
        (0..self.cells.len()).map(|index| self.value(index))
    }

    /// Whether a value was left out of the message because it did not change.
    pub fn has_unchanged(&self) -> bool {
        self.cells.contains(&Cell::Unchanged)
    }

    /// Bytes of values, for accounting; what the shared buffer holds beside is not counted.
    pub fn value_bytes(&self) -> usize {
        self.cells.iter().map(Cell::length).sum::<usize>() + self.cells.len() * size_of::<Cell>()
    }

    /// This row with its unchanged values taken from an older version of the same row.
    #[must_use]
    pub fn over(&self, older: &Row) -> Row {
        if !self.has_unchanged() {
            return self.clone();
        }
        let mut merged = RowBuilder::with_capacity(self.len(), self.value_bytes());
        for (index, value) in self.values().enumerate() {
            merged.push(match value {
                Value::Unchanged if index < older.len() => older.value(index),
                sent => sent,
            });
        }
        merged.finish()
    }
}

impl Cell {
    fn length(&self) -> usize {
        match self {
            Cell::Text { length, .. } => *length as usize,
            Cell::Null | Cell::Unchanged => 0,
        }
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.values().eq(other.values())
    }
}

impl Eq for Row {}

impl fmt::Debug for Row {
    /// Shapes only: a row's values belong in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Row({} values, {} bytes)",
            self.len(),
            self.value_bytes()
        )
    }
}

/// Puts a row together value by value.
pub struct RowBuilder {
    source: Option<Bytes>,
    copied: BytesMut,
    cells: Vec<Cell>,
}

impl RowBuilder {
    /// A row whose values are copied in with [`RowBuilder::push`].
    pub fn with_capacity(values: usize, bytes: usize) -> Self {
        RowBuilder {
            source: None,
            copied: BytesMut::with_capacity(bytes),
            cells: Vec::with_capacity(values),
        }
    }

    /// A row whose values are ranges of a message, named with [`RowBuilder::push_range`]
    /// and not copied.
    pub fn borrowing(message: Bytes, values: usize) -> Self {
        RowBuilder {
            source: Some(message),
            copied: BytesMut::new(),
            cells: Vec::with_capacity(values),
        }
    }

    /// Adds a value, copying its bytes.
    ///
    /// # Panics
    /// When the row was begun with [`RowBuilder::borrowing`] and the value has bytes, or a
    /// row exceeds 4 GiB, which PostgreSQL's limit of 1 GiB a message excludes.
    pub fn push(&mut self, value: Value<'_>) {
        self.cells.push(match value {
            Value::Null => Cell::Null,
            Value::Unchanged => Cell::Unchanged,
            Value::Text(text) => {
                assert!(self.source.is_none(), "a borrowing row takes ranges");
                let start = self.copied.len();
                self.copied.put_slice(text);
                Cell::text(start, text.len())
            }
        });
    }

    /// Adds a value that is a range of the message given to [`RowBuilder::borrowing`].
    ///
    /// # Panics
    /// When the range lies outside the message.
    pub fn push_range(&mut self, start: usize, length: usize) {
        let available = self.source.as_ref().map_or(0, Bytes::len);
        assert!(start + length <= available, "a value inside its message");
        self.cells.push(Cell::text(start, length));
    }

    /// The row.
    pub fn finish(self) -> Row {
        Row {
            data: self.source.unwrap_or_else(|| self.copied.freeze()),
            cells: self.cells.into_boxed_slice(),
        }
    }
}

impl Cell {
    fn text(start: usize, length: usize) -> Self {
        Cell::Text {
            start: u32::try_from(start).expect("a message is below 1 GiB"),
            length: u32::try_from(length).expect("a message is below 1 GiB"),
        }
    }
}

impl<'a> FromIterator<Value<'a>> for Row {
    fn from_iter<I: IntoIterator<Item = Value<'a>>>(values: I) -> Self {
        let mut row = RowBuilder::with_capacity(0, 0);
        for value in values {
            row.push(value);
        }
        row.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_values_are_taken_from_the_older_row() {
        let older: Row = [Value::Text(b"1"), Value::Text(b"long"), Value::Null]
            .into_iter()
            .collect();
        let newer: Row = [Value::Text(b"1"), Value::Unchanged, Value::Text(b"x")]
            .into_iter()
            .collect();
        let merged = newer.over(&older);
        assert_eq!(merged.value(1), Value::Text(b"long"));
        assert_eq!(merged.value(2), Value::Text(b"x"));
    }

    #[test]
    fn a_debug_print_shows_no_value() {
        let row: Row = [Value::Text(b"secret")].into_iter().collect();
        assert!(!format!("{row:?}").contains("secret"));
    }
}
