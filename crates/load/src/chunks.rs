//! How a table is cut: whole, by pages under one snapshot, or by ranges of its key with a
//! snapshot each. Pure. However it is cut, the parts cover everything: the first is open
//! below, the last open above.

use crate::catalog::{Table, TableKind};
use crate::limits::{CHUNK_BYTES, CHUNKS_MAX, CUT_BYTES, KEY_RANGE_BYTES, KEY_SPLIT_BYTES};

/// Bytes of a page of a heap.
const PAGE_BYTES: u64 = 8192;

/// How the parts of a table are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// One part.
    Whole,
    /// By page numbers, under one snapshot.
    Pages,
    /// By this column, each range under its own snapshot.
    Key(String),
}

/// From `low` up to but not including `high`; `None` is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Bounds {
    pub(crate) low: Option<i64>,
    pub(crate) high: Option<i64>,
}

/// One part of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) number: i32,
    pub(crate) bounds: Bounds,
}

impl Part {
    pub(crate) const WHOLE: Part = Part {
        number: 0,
        bounds: Bounds {
            low: None,
            high: None,
        },
    };
}

/// When tables are cut, and how finely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitSizes {
    /// A table above this is cut.
    pub cut_bytes: u64,
    /// How large a range of pages is about, with its TOAST.
    pub chunk_bytes: u64,
    /// A table above this is cut by its key, if that is one integer.
    pub key_split_bytes: u64,
    /// How large a key range is about.
    pub key_range_bytes: u64,
}

impl SplitSizes {
    /// Cuts tables above this size; each part is no larger than that.
    pub fn above(cut_bytes: u64) -> Self {
        SplitSizes {
            cut_bytes,
            chunk_bytes: CHUNK_BYTES.min(cut_bytes),
            key_split_bytes: KEY_SPLIT_BYTES,
            key_range_bytes: KEY_RANGE_BYTES,
        }
    }
}

impl Default for SplitSizes {
    fn default() -> Self {
        SplitSizes::above(CUT_BYTES)
    }
}

/// What is known before a table's first part is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// One part.
    Whole,
    /// These parts.
    Pages(Vec<Part>),
    /// This many ranges of a column, whose bounds are still to be read.
    Key { column: String, ranges: u64 },
}

/// Decides how a table is cut. `alone` says that the target's table takes rows of this
/// table only, so that it can be emptied and begun again; `page_ranges` that the source
/// reads a range of pages without reading the table (from version 14 on).
pub(crate) fn plan(table: &Table, sizes: &SplitSizes, alone: bool, page_ranges: bool) -> Plan {
    // A crash of the target empties an unlogged table: all of its rows are there, or none.
    if table.kind == TableKind::Partitioned
        || table.origin.extension_condition.is_some()
        || table.unlogged
    {
        return Plan::Whole;
    }
    let bytes = table.bytes();
    let too_long_for_one_snapshot = bytes > sizes.key_split_bytes;
    let too_large_for_one_part = bytes > sizes.cut_bytes && !(alone && page_ranges);
    if (too_long_for_one_snapshot || too_large_for_one_part)
        && let Some(column) = integer_key(table)
    {
        let ranges = bytes
            .div_ceil(sizes.key_range_bytes.max(1))
            .clamp(2, CHUNKS_MAX);
        return Plan::Key {
            column: column.to_owned(),
            ranges,
        };
    }
    if bytes <= sizes.cut_bytes || !alone || !page_ranges {
        return Plan::Whole;
    }
    let parts = pages(table.heap_bytes, bytes, sizes.chunk_bytes);
    if parts.len() < 2 {
        Plan::Whole
    } else {
        Plan::Pages(parts)
    }
}

/// The primary key, if it is one integer column.
fn integer_key(table: &Table) -> Option<&str> {
    let [key] = &*table.shape.primary_key else {
        return None;
    };
    let column = table
        .shape
        .columns
        .iter()
        .find(|column| column.name == *key)?;
    ["pg_catalog.int2", "pg_catalog.int4", "pg_catalog.int8"]
        .contains(&column.column_type.base.as_str())
        .then_some(key)
}

/// Page ranges of about `chunk_bytes` of heap and TOAST together: a small heap with much
/// TOAST is cut as finely as a large heap.
fn pages(heap_bytes: u64, bytes: u64, chunk_bytes: u64) -> Vec<Part> {
    let pages = heap_bytes.div_ceil(PAGE_BYTES).max(1);
    let count = bytes
        .div_ceil(chunk_bytes.max(1))
        .clamp(1, CHUNKS_MAX)
        .min(pages);
    let bounds = (1..count).map(|part| i64::try_from(pages * part / count).unwrap_or(i64::MAX));
    between(&bounds.collect::<Vec<_>>())
}

/// The parts between bounds, which rise; the first is open below, the last above.
pub(crate) fn between(bounds: &[i64]) -> Vec<Part> {
    let lows = std::iter::once(None).chain(bounds.iter().copied().map(Some));
    let highs = bounds
        .iter()
        .copied()
        .map(Some)
        .chain(std::iter::once(None));
    lows.zip(highs)
        .zip(0..)
        .map(|((low, high), number)| Part {
            number,
            bounds: Bounds { low, high },
        })
        .collect()
}

/// Bounds that cut a key into ranges of about as many rows, from a sample of its values in
/// order (a histogram, or just the least and greatest). They rise; there may be fewer than
/// asked for.
pub(crate) fn key_bounds(sample: &[i64], ranges: u64) -> Vec<i64> {
    let mut bounds: Vec<i64> = Vec::new();
    let Some(last) = sample.len().checked_sub(1).filter(|&last| last > 0) else {
        return bounds;
    };
    for range in 1..ranges {
        let position = u128::from(range) * last as u128;
        let place = usize::try_from(position / u128::from(ranges))
            .unwrap_or(last - 1)
            .min(last - 1);
        let (from, to) = (i128::from(sample[place]), i128::from(sample[place + 1]));
        let remainder = i128::try_from(position % u128::from(ranges)).unwrap_or(0);
        let bound = from + (to - from) * remainder / i128::from(ranges);
        let bound = i64::try_from(bound).unwrap_or(i64::MAX);
        let rises = bounds.last().is_none_or(|&before| bound > before);
        if rises && bound > sample[0] {
            bounds.push(bound);
        }
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trunkline_changes::TableName;

    const MB: u64 = 1 << 20;

    fn table(heap: u64, toast: u64, key: bool) -> Table {
        let mut table = Table::bare(TableName::new("public", "t"));
        (table.heap_bytes, table.toast_bytes) = (heap, toast);
        if key {
            let shape = std::sync::Arc::make_mut(&mut table.shape);
            shape.primary_key = ["id".into()].into();
            shape.columns = [crate::catalog::TableColumn {
                name: "id".into(),
                column_type: std::sync::Arc::new(crate::format::ColumnType {
                    schema: "pg_catalog".into(),
                    name: "int8".into(),
                    base: "pg_catalog.int8".into(),
                    portable_binary: true,
                }),
                generated: false,
                identity: None,
                not_null: true,
            }]
            .into();
        }
        table
    }

    const SIZES: SplitSizes = SplitSizes {
        cut_bytes: 40 * MB,
        chunk_bytes: 10 * MB,
        key_split_bytes: 100 * MB,
        key_range_bytes: 20 * MB,
    };

    #[test]
    fn a_small_heap_with_much_toast_is_cut_by_both() {
        let Plan::Pages(parts) = plan(&table(MB, 79 * MB, true), &SIZES, true, true) else {
            panic!("cut by pages")
        };
        assert_eq!(parts.len(), 8);
        assert_eq!(
            parts[3].bounds,
            Bounds {
                low: Some(48),
                high: Some(64)
            }
        );
    }

    #[test]
    fn a_very_large_table_is_cut_by_its_key() {
        let by_key = Plan::Key {
            column: "id".into(),
            ranges: 6,
        };
        assert_eq!(plan(&table(101 * MB, 0, true), &SIZES, true, true), by_key);
        assert!(matches!(
            plan(&table(101 * MB, 0, false), &SIZES, true, true),
            Plan::Pages(_)
        ));
    }

    #[test]
    fn without_page_ranges_it_is_the_key_or_one_part() {
        assert!(matches!(
            plan(&table(50 * MB, 0, true), &SIZES, true, false),
            Plan::Key { .. }
        ));
        assert_eq!(
            plan(&table(50 * MB, 0, false), &SIZES, true, false),
            Plan::Whole
        );
        assert_eq!(
            plan(&table(50 * MB, 0, false), &SIZES, false, true),
            Plan::Whole
        );
        assert_eq!(
            plan(&table(39 * MB, 0, true), &SIZES, true, true),
            Plan::Whole
        );
    }

    proptest! {
        #[test]
        fn parts_cover_everything_without_gaps(heap in 0u64..1 << 42, toast in 0u64..1 << 42) {
            let parts = pages(heap, heap + toast, CHUNK_BYTES);
            prop_assert_eq!(parts[0].bounds.low, None);
            prop_assert_eq!(parts[parts.len() - 1].bounds.high, None);
            for pair in parts.windows(2) {
                prop_assert_eq!(pair[0].bounds.high, pair[1].bounds.low);
                prop_assert!(pair[0].bounds.low.unwrap_or(-1) < pair[0].bounds.high.unwrap_or(0));
            }
        }

        #[test]
        fn key_bounds_rise(mut sample in prop::collection::vec(any::<i64>(), 0..50), ranges in 1u64..300) {
            sample.sort_unstable();
            let bounds = key_bounds(&sample, ranges);
            prop_assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(bounds.len() < usize::try_from(ranges).expect("small"));
        }
    }

    #[test]
    fn key_bounds_follow_the_sample() {
        assert_eq!(key_bounds(&[0, 100], 4), [25, 50, 75]);
        assert_eq!(key_bounds(&[0, 10, 1000], 4), [5, 10, 505]);
        assert!(key_bounds(&[7, 7, 7], 4).is_empty());
        assert!(key_bounds(&[], 4).is_empty());
    }
}
