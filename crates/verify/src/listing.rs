//! Both servers list a part in the order of its rows' hashes, and the lists are merged as
//! they come. Needs: on both sides a transaction whose snapshot stays.

use trunkline_postgres::{CopyOut, Fault, OnSide, PgError, Session};

use crate::compare::Sides;
use crate::comparison::End;
use crate::merge::{Leftovers, Merge, Next, Spot};
use crate::shape::{Rows, Shape};

/// A condition that ran once may call what changes settings; it must be read as it was the
/// first time, all the more because COPY does not go through the extended protocol.
const AS_BEFORE: &str =
    "SET LOCAL client_encoding = 'UTF8'; SET LOCAL standard_conforming_strings = on";

/// Everything that one side holds of a part, in the order of its hashes.
fn listing_sql(shape: &Shape, end: End, rows: &Rows) -> String {
    let comparison = &shape.comparison;
    let tables = match end {
        End::From => comparison.sources.as_slice(),
        End::To => std::slice::from_ref(&comparison.target),
    };
    let (key, row) = (shape.key_hash(), shape.row_hash());
    let selection = shape.selection(end, rows);
    let each = tables.iter().map(|table| {
        format!(
            "SELECT {key} AS k, {row} AS r, t.tableoid, t.ctid, t.xmin FROM {table}{selection}",
            table = comparison.from_item(end, table),
        )
    });
    let all = each.collect::<Vec<_>>().join(" UNION ALL ");
    format!("COPY ({all} ORDER BY 1, 2, 3, 4) TO STDOUT")
}

/// What the two sides do not have in common.
pub(crate) async fn list(
    from: &mut Session,
    to: &mut Session,
    sides: Sides,
    shape: &Shape,
    rows: &Rows,
) -> Result<Leftovers, Fault> {
    let doing = || format!("listing the rows of {}", shape.comparison.target);
    let sql = (
        listing_sql(shape, End::From, rows),
        listing_sql(shape, End::To, rows),
    );
    let comparison = &shape.comparison;
    if comparison.choice.condition.is_some() || comparison.moved.is_some() {
        let (one, other) = tokio::join!(from.batch(AS_BEFORE), to.batch(AS_BEFORE));
        one.on(sides.from, doing())?;
        other.on(sides.to, doing())?;
    }
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
            why: "five fields".to_owned(),
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
        xmin: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_listing_is_read_whole_or_not_at_all() {
        let spot = parse(b"-5\t7\t16384\t(12,3)\t777\n").expect("a row");
        assert_eq!((spot.key, spot.row, spot.relation), (-5, 7, 16384));
        assert_eq!((spot.ctid.as_str(), spot.xmin), ("(12,3)", 777));
        assert_eq!(parse(b"-5\t7\t16384\t(0,1)\n"), None);
        assert_eq!(parse(b"x\t7\t1\t(0,1)\t5\n"), None);
    }
}
