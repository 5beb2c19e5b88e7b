//! From what two listings do not have in common to named rows: the key and a hash for every
//! column are read by `ctid`. Needs: on both sides the transactions of the listings.

use std::collections::{BTreeMap, HashMap};

use trunkline_postgres::{Fault, OnSide, PgError, Session};

use crate::compare::Sides;
use crate::comparison::End;
use crate::difference::{DifferenceKind, KeyValue, Place, RowDifference};
use crate::limits::DETAILS_AT_ONCE;
use crate::merge::{Left, Leftovers, Spot};
use crate::pairing::pair_without_key;
use crate::shape::Shape;
use crate::verdict::RowCounts;

/// The rows of a part that differ.
#[derive(Debug, Default)]
pub(crate) struct Named {
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

/// Names the rows that were left.
pub(crate) async fn name(
    from: &mut Session,
    to: &mut Session,
    sides: Sides,
    shape: &Shape,
    left: Leftovers,
) -> Result<Named, Fault> {
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
        async {
            details(from, shape, End::From, &of_from)
                .await
                .on(sides.from, doing())
        },
        async {
            details(to, shape, End::To, &of_to)
                .await
                .on(sides.to, doing())
        },
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
    Ok(Named {
        rows,
        counts: sides.counts_from_source(counts),
    })
}

type Details = HashMap<(u32, String), Detail>;

/// Reads the key and the columns' hashes of some rows by their places.
async fn details(
    session: &mut Session,
    shape: &Shape,
    end: End,
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
        let sql = detail_sql(shape, end, &relation);
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

fn detail_sql(shape: &Shape, end: End, relation: &str) -> String {
    let key = shape
        .key_names()
        // The output function itself: a cast to text would trim bpchar.
        .map(|name| format!("format('%s', t.{})", trunkline_changes::quote_ident(name)))
        .collect::<Vec<_>>();
    format!(
        "SELECT t.ctid::text, ARRAY[{key}]::text[], ARRAY[{columns}]::bigint[] \
         FROM {table} WHERE t.ctid = ANY ($1::text[]::tid[])",
        key = key.join(", "),
        columns = shape.column_hashes().join(", "),
        table = shape.comparison.item(end, &format!("ONLY {relation}")),
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
