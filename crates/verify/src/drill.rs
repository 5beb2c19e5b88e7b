//! From a part whose checksums differ to its rows: both servers list the part in the order
//! of the rows' hashes, the lists are merged as they come, and of what is left the keys and
//! a hash for every column are read by `ctid`. Needs: on both sides a transaction whose
//! snapshot stays.

use std::collections::{BTreeMap, HashMap};

use trunkline_postgres::{CopyOut, Fault, OnSide, PgError, Session};

use crate::compare::Sides;
use crate::comparison::Reading;
use crate::difference::{DifferenceKind, KeyValue, Place, RowDifference};
use crate::limits::DETAILS_AT_ONCE;
use crate::merge::{Left, Leftovers, Merge, Next, Spot};
use crate::pairing::pair_without_key;
use crate::shape::{Range, Shape};
use crate::verdict::RowCounts;

/// The rows of a part that differ.
#[derive(Debug, Default)]
pub(crate) struct Drilled {
    pub(crate) rows: Vec<RowDifference>,
    pub(crate) counts: RowCounts,
}

/// A row that differs, with what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Detailed {
    pub(crate) kind: DifferenceKind,
    pub(crate) from: Option<Detail>,
    pub(crate) to: Option<Detail>,
}

/// One side's row.
#[derive(Clone, Debug)]
pub(crate) struct Detail {
    pub(crate) place: Place,
    pub(crate) key: Vec<String>,
    /// A hash for every column.
    pub(crate) columns: Vec<i64>,
}

/// Finds the rows of a part that differ.
pub(crate) async fn drill(
    from: &mut Session,
    to: &mut Session,
    sides: Sides,
    shape: &Shape,
    range: &Range,
) -> Result<Drilled, Fault> {
    let left = merge(from, to, sides, shape, range).await?;
    let doing = || {
        format!(
            "looking for the rows of {} that differ",
            shape.comparison.target
        )
    };
    let (of_from, of_to): (Vec<&Spot>, Vec<&Spot>) = (
        left.named.iter().filter_map(|l| l.from.as_ref()).collect(),
        left.named.iter().filter_map(|l| l.to.as_ref()).collect(),
    );
    let (mut of_from, mut of_to) = tokio::try_join!(
        async { details(from, shape, &of_from).await.on(sides.from, doing()) },
        async { details(to, shape, &of_to).await.on(sides.to, doing()) },
    )?;
    let named = left.named.into_iter();
    let mut rows: Vec<Detailed> = named
        .map(|left| detailed(left, &mut of_from, &mut of_to))
        .collect();
    let mut counts = left.counts;
    if !shape.has_key() {
        rows = pair_without_key(rows, &mut counts);
    }
    let named = rows.into_iter().map(|row| named_row(shape, row));
    let rows = named.map(|row| sides.seen_from_source(row)).collect();
    Ok(Drilled {
        rows,
        counts: sides.counts_from_source(counts),
    })
}

/// Everything that one side holds of a part, in the order of its hashes.
fn listing_sql(shape: &Shape, is_from: bool, range: &Range) -> String {
    let comparison = &shape.comparison;
    let target = std::slice::from_ref(&comparison.target);
    let (tables, reading): (_, Reading) = if is_from {
        (comparison.sources.as_slice(), comparison.source_reading)
    } else {
        (target, comparison.target_reading)
    };
    let (key, row, selection) = (shape.key_hash(), shape.row_hash(), shape.selection(range));
    let each = tables.iter().map(|table| {
        format!(
            "SELECT {key} AS k, {row} AS r, t.tableoid, t.ctid FROM {only}{table} AS t{selection}",
            only = reading.prefix(),
            table = table.quoted(),
        )
    });
    let all = each.collect::<Vec<_>>().join(" UNION ALL ");
    format!("COPY ({all} ORDER BY 1, 2) TO STDOUT")
}

async fn merge(
    from: &mut Session,
    to: &mut Session,
    sides: Sides,
    shape: &Shape,
    range: &Range,
) -> Result<Leftovers, Fault> {
    let doing = || format!("listing the rows of {}", shape.comparison.target);
    let sql = (
        listing_sql(shape, true, range),
        listing_sql(shape, false, range),
    );
    // Both servers sort at the same time.
    let (from, to) = tokio::join!(from.copy_out(&sql.0), to.copy_out(&sql.1));
    let (from, to) = (from.on(sides.from, doing())?, to.on(sides.to, doing())?);
    let (mut from, mut to) = (Listing(from), Listing(to));
    let (mut one, mut other) = (
        from.next().await.on(sides.from, doing())?,
        to.next().await.on(sides.to, doing())?,
    );
    let mut merge = Merge::default();
    while one.is_some() || other.is_some() {
        let next = merge.take(one.as_ref(), other.as_ref());
        if next != Next::To {
            one = from.next().await.on(sides.from, doing())?;
        }
        if next != Next::From {
            other = to.next().await.on(sides.to, doing())?;
        }
    }
    Ok(merge.end())
}

/// A running listing of one side.
struct Listing<'a>(CopyOut<'a>);

impl Listing<'_> {
    async fn next(&mut self) -> Result<Option<Spot>, PgError> {
        let Some(line) = self.0.next().await? else {
            return Ok(None);
        };
        parse(&line).map(Some).ok_or_else(|| PgError::Conversion {
            what: "a row's hashes and place".to_owned(),
            why: "four fields".to_owned(),
        })
    }
}

fn parse(line: &[u8]) -> Option<Spot> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let mut fields = line.split('\t');
    Some(Spot {
        key: fields.next()?.parse().ok()?,
        row: fields.next()?.parse().ok()?,
        relation: fields.next()?.parse().ok()?,
        ctid: fields.next()?.to_owned(),
    })
}

type Details = HashMap<(u32, String), Detail>;

/// Reads the key and the columns' hashes of some rows by their places.
async fn details(
    session: &mut Session,
    shape: &Shape,
    spots: &[&Spot],
) -> Result<Details, PgError> {
    let mut by_relation: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for spot in spots {
        by_relation
            .entry(spot.relation)
            .or_default()
            .push(spot.ctid.clone());
    }
    let mut found = HashMap::with_capacity(spots.len());
    for (oid, ctids) in by_relation {
        let name = "SELECT $1::oid::pg_catalog.regclass::text";
        let relation: String = session.query_one(name, &[&oid]).await?.get(0)?;
        let sql = detail_sql(shape, &relation);
        for some in ctids.chunks(DETAILS_AT_ONCE) {
            for row in session.query(&sql, &[&some]).await? {
                let ctid: String = row.get(0)?;
                let place = Place {
                    relation: relation.clone(),
                    ctid: ctid.clone(),
                };
                let detail = Detail {
                    place,
                    key: row.get(1)?,
                    columns: row.get(2)?,
                };
                found.insert((oid, ctid), detail);
            }
        }
    }
    Ok(found)
}

fn detail_sql(shape: &Shape, relation: &str) -> String {
    let key = shape
        .key_names()
        // The output function itself: a cast to text would trim bpchar.
        .map(|name| format!("format('%s', t.{})", trunkline_changes::quote_ident(name)))
        .collect::<Vec<_>>();
    format!(
        "SELECT t.ctid::text, ARRAY[{key}]::text[], ARRAY[{columns}]::bigint[] \
         FROM ONLY {relation} AS t WHERE t.ctid = ANY ($1::text[]::tid[])",
        key = key.join(", "),
        columns = shape.column_hashes().join(", "),
    )
}

fn detailed(left: Left, of_from: &mut Details, of_to: &mut Details) -> Detailed {
    let take = |spot: Option<Spot>, of: &mut Details| {
        spot.and_then(|spot| of.remove(&(spot.relation, spot.ctid)))
    };
    Detailed {
        kind: left.kind,
        from: take(left.from, of_from),
        to: take(left.to, of_to),
    }
}

fn named_row(shape: &Shape, row: Detailed) -> RowDifference {
    let Detailed { kind, from, to } = row;
    let columns = match (&from, &to) {
        (Some(from), Some(to)) => differing(shape, from, to),
        _ => Vec::new(),
    };
    let values = from.as_ref().or(to.as_ref()).map(|detail| &detail.key);
    let key = shape
        .key_names()
        .zip(values.into_iter().flatten())
        .map(|(column, value)| KeyValue {
            column: column.to_owned(),
            value: Some(value.clone()),
        });
    RowDifference {
        table: shape.comparison.target.clone(),
        kind,
        key: key.collect(),
        columns,
        source: from.map(|detail| detail.place),
        target: to.map(|detail| detail.place),
    }
}

fn differing(shape: &Shape, from: &Detail, to: &Detail) -> Vec<String> {
    let hashes = from.columns.iter().zip(&to.columns);
    let mut names: Vec<String> = shape
        .column_names()
        .zip(hashes)
        .filter(|(_, (one, other))| one != other)
        .map(|(name, _)| name.to_owned())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_listing_is_read_whole_or_not_at_all() {
        let spot = parse(b"-5\t7\t16384\t(12,3)\n").expect("a row");
        assert_eq!((spot.key, spot.row, spot.relation), (-5, 7, 16384));
        assert_eq!(spot.ctid, "(12,3)");
        assert_eq!(parse(b"-5\t7\t16384\n"), None);
        assert_eq!(parse(b"x\t7\t1\t(0,1)\n"), None);
    }
}
