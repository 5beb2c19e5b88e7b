//! `trunkline.copy_parts` on the target: which parts of which table were copied, and under
//! which snapshot. A part's row changes in the transaction that loads it, so the ledger and
//! the rows never disagree.

use std::collections::HashMap;

use trunkline_changes::{Side, SnapshotView, TableName, quote_literal};
use trunkline_postgres::{DataRow, OnSide, PgError, Session};

use crate::chunks::{Bounds, Cut, Part};
use crate::error::LoadError;

/// The tables of this crate, in the schema `trunkline`, which must exist. Running it again
/// does nothing.
pub const TABLES_SQL: &str = include_str!("sql/ledger.sql");

/// One range of a table's key, and the snapshot under which it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The lowest key of the range; `None` is open below.
    pub low: Option<i64>,
    /// The first key after the range; `None` is open above.
    pub high: Option<i64>,
    /// What the range's snapshot saw.
    pub snapshot: SnapshotView,
}

/// What of a table the copy brought: a change that its snapshot did not see is to be
/// applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cover {
    /// The whole table under one snapshot.
    Whole(SnapshotView),
    /// Each row under the snapshot of its key's range. Ranges are in order, without gaps,
    /// open at both ends.
    ByKey {
        /// The key's column.
        column: String,
        /// The ranges.
        ranges: Vec<KeyRange>,
    },
}

impl Cover {
    /// The snapshot that decides for a row with this key.
    pub fn snapshot_of(&self, key: i64) -> &SnapshotView {
        match self {
            Cover::Whole(snapshot) => snapshot,
            Cover::ByKey { ranges, .. } => {
                let place =
                    ranges.partition_point(|range| range.high.is_some_and(|high| high <= key));
                &ranges[place.min(ranges.len() - 1)].snapshot
            }
        }
    }
}

/// One part as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) part: Part,
    pub(crate) cut: Cut,
    pub(crate) snapshot: Option<String>,
    pub(crate) copied: bool,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// All parts of all tables, in order.
pub(crate) type Ledger = HashMap<TableName, Vec<Recorded>>;

/// Reads the whole ledger.
pub(crate) async fn read(target: &mut Session) -> Result<Ledger, LoadError> {
    let mut ledger = Ledger::new();
    let keep = |table, parts| {
        ledger.insert(table, parts);
    };
    read_each(target, keep).await?;
    Ok(ledger)
}

/// Reads the ledger table by table, each with its parts in order: of very many tables it is much,
/// and most who read it keep little of it.
pub(crate) async fn read_each(
    target: &mut Session,
    mut take: impl FnMut(TableName, Vec<Recorded>),
) -> Result<(), LoadError> {
    let sql = "SELECT table_schema, table_name, part, cut, key_column, low, high, snapshot, \
               state = 'copied', rows, bytes FROM trunkline.copy_parts ORDER BY 1, 2, 3";
    let mut last: Option<(TableName, Vec<Recorded>)> = None;
    let take_row = |row| {
        let (table, recorded) = recorded(&row)?;
        match &mut last {
            Some((name, parts)) if *name == table => parts.push(recorded),
            _ => {
                // Most have one part only.
                if let Some((name, parts)) = last.replace((table, vec![recorded])) {
                    take(name, parts);
                }
            }
        }
        Ok(())
    };
    let read = target.query_each(sql, &[], take_row).await;
    read.on(Side::Target, "reading the ledger")?;
    if let Some((name, parts)) = last {
        take(name, parts);
    }
    Ok(())
}

/// The parts of one table, in order.
pub(crate) async fn read_table(
    target: &mut Session,
    table: &TableName,
) -> Result<Vec<Recorded>, LoadError> {
    let sql = "SELECT table_schema, table_name, part, cut, key_column, low, high, snapshot, \
               state = 'copied', rows, bytes FROM trunkline.copy_parts \
               WHERE table_schema = $1::text AND table_name = $2::text ORDER BY part";
    let doing = "reading the ledger";
    let rows = target
        .query(sql, &[&table.schema, &table.name])
        .await
        .on(Side::Target, doing)?;
    let parts = rows.iter().map(|row| recorded(row).map(|(_, part)| part));
    let parts = parts
        .collect::<Result<Vec<_>, _>>()
        .on(Side::Target, doing)?;
    Ok(parts)
}

/// One part, if it was copied.
pub(crate) async fn read_part(
    target: &mut Session,
    table: &TableName,
    part: &Part,
) -> Result<Option<Recorded>, LoadError> {
    let parts = read_table(target, table).await?;
    Ok(parts
        .into_iter()
        .find(|recorded| recorded.part.number == part.number && recorded.copied))
}

fn recorded(row: &DataRow) -> Result<(TableName, Recorded), PgError> {
    let (low, high): (Option<i64>, Option<i64>) = (row.get(5)?, row.get(6)?);
    let cut = match row.get::<String>(3)?.as_str() {
        "whole" => Cut::Whole,
        "pages" => Cut::Pages,
        _ => Cut::Key(row.get(4)?),
    };
    let recorded = Recorded {
        part: Part {
            number: row.get(2)?,
            bounds: Bounds { low, high },
        },
        cut,
        snapshot: row.get(7)?,
        copied: row.get(8)?,
        rows: row.get(9)?,
        bytes: row.get(10)?,
    };
    Ok((row.table_name(0, 1)?, recorded))
}

/// What the copy brought of every table that it finished, by the source's names.
pub async fn read_cover(target: &mut Session) -> Result<HashMap<TableName, Cover>, LoadError> {
    let mut covers = HashMap::new();
    let mut unfit = None;
    let keep = |table: TableName, parts: Vec<Recorded>| {
        if !parts.iter().all(|part| part.copied) {
            return;
        }
        match cover(&parts) {
            Ok(cover) => {
                covers.insert(table, cover);
            }
            Err(why) => unfit = Some(LoadError::Ledger { table, why }),
        }
    };
    read_each(target, keep).await?;
    match unfit {
        Some(error) => Err(error),
        None => Ok(covers),
    }
}

/// A table's cover from its copied parts: pure.
fn cover(parts: &[Recorded]) -> Result<Cover, String> {
    let snapshot = |part: &Recorded| -> Result<SnapshotView, String> {
        let text = part
            .snapshot
            .as_deref()
            .ok_or("a copied part has no snapshot")?;
        text.parse().map_err(|error| format!("{error}"))
    };
    let first = parts.first().ok_or("it has no parts")?;
    if parts.iter().any(|part| part.cut != first.cut) {
        return Err("its parts are cut in different ways".to_owned());
    }
    let Cut::Key(column) = &first.cut else {
        if parts.iter().any(|part| part.snapshot != first.snapshot) {
            return Err("its parts were read under different snapshots".to_owned());
        }
        return Ok(Cover::Whole(snapshot(first)?));
    };
    let open_below = first.part.bounds.low.is_none();
    let open_above = parts
        .last()
        .is_some_and(|last| last.part.bounds.high.is_none());
    let joined = parts.windows(2).all(|pair| {
        pair[0].part.bounds.high.is_some() && pair[0].part.bounds.high == pair[1].part.bounds.low
    });
    if !(open_below && open_above && joined) {
        return Err("its key ranges do not join".to_owned());
    }
    let ranges = parts.iter().map(|part| {
        let Bounds { low, high } = part.part.bounds;
        Ok(KeyRange {
            low,
            high,
            snapshot: snapshot(part)?,
        })
    });
    Ok(Cover::ByKey {
        column: column.clone(),
        ranges: ranges.collect::<Result<_, String>>()?,
    })
}

/// Writes the plan of a table that is cut, before its first part is copied, and waits for the
/// disk: were it lost and parts copied after it not, nobody would know of the others. `snapshot`
/// is the one that all parts share, if they do.
pub(crate) fn plan_sql(
    table: &TableName,
    cut: &Cut,
    parts: &[Part],
    snapshot: Option<&str>,
) -> String {
    let mut sql = String::from(
        "SET LOCAL synchronous_commit = on; \
         INSERT INTO trunkline.copy_parts (table_schema, table_name, part, cut, key_column, low, high, snapshot, state) VALUES ",
    );
    let rows: Vec<String> = parts
        .iter()
        .map(|part| format!("({}, 'planned')", values(table, cut, part, snapshot)))
        .collect();
    sql.push_str(&rows.join(", "));
    sql.push(';');
    sql
}

fn values(table: &TableName, cut: &Cut, part: &Part, snapshot: Option<&str>) -> String {
    let bound = |bound: Option<i64>| bound.map_or("NULL".to_owned(), |bound| format!("'{bound}'"));
    let text = |text: Option<&str>| text.map_or("NULL".to_owned(), quote_literal);
    let (name, column) = match cut {
        Cut::Whole => ("whole", None),
        Cut::Pages => ("pages", None),
        Cut::Key(column) => ("key", Some(column.as_str())),
    };
    format!(
        "{}, {}, {}, '{name}', {}, {}, {}, {}",
        quote_literal(&table.schema),
        quote_literal(&table.name),
        part.number,
        text(column),
        bound(part.bounds.low),
        bound(part.bounds.high),
        text(snapshot),
    )
}

/// A part whose rows are in.
pub(crate) struct Loaded<'a> {
    pub(crate) table: &'a TableName,
    pub(crate) cut: &'a Cut,
    pub(crate) part: &'a Part,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// Marks tables as copied whole, in the transaction that loaded them. It does not affect the
/// row of one that another transaction has loaded: one of ours whose end we did not see.
pub(crate) fn copied_sql<'a>(
    loaded: impl IntoIterator<Item = Loaded<'a>>,
    snapshot: &str,
) -> String {
    let row = |loaded: Loaded<'_>| {
        let values = values(loaded.table, loaded.cut, loaded.part, Some(snapshot));
        let (rows, bytes) = (loaded.rows, loaded.bytes);
        format!("({values}, 'copied', {rows}, {bytes}, clock_timestamp())")
    };
    let rows: Vec<String> = loaded.into_iter().map(row).collect();
    format!(
        "INSERT INTO trunkline.copy_parts (table_schema, table_name, part, cut, key_column, low, high, snapshot, state, rows, bytes, copied_at) \
         VALUES {} \
         ON CONFLICT (table_schema, table_name, part) DO UPDATE SET state = 'copied', snapshot = EXCLUDED.snapshot, \
         rows = EXCLUDED.rows, bytes = EXCLUDED.bytes, copied_at = EXCLUDED.copied_at \
         WHERE copy_parts.state <> 'copied';",
        rows.join(", "),
    )
}

/// The same for a part of a table that is cut, whose row the plan has made. Where that is gone
/// (a failover to a standby that was behind took it back, and the parts before with it), no row
/// is affected: of a table whose plan is gone no part may count.
pub(crate) fn part_copied_sql(loaded: &Loaded<'_>, snapshot: &str) -> String {
    format!(
        "UPDATE trunkline.copy_parts SET state = 'copied', snapshot = {}, rows = {}, bytes = {}, \
         copied_at = clock_timestamp() \
         WHERE table_schema = {} AND table_name = {} AND part = {} AND state <> 'copied';",
        quote_literal(snapshot),
        loaded.rows,
        loaded.bytes,
        quote_literal(&loaded.table.schema),
        quote_literal(&loaded.table.name),
        loaded.part.number,
    )
}

/// Forgets a table's parts.
pub(crate) fn forget_sql(table: &TableName) -> String {
    format!(
        "DELETE FROM trunkline.copy_parts WHERE table_schema = {} AND table_name = {};\n",
        quote_literal(&table.schema),
        quote_literal(&table.name),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(
        number: i32,
        low: Option<i64>,
        high: Option<i64>,
        cut: &Cut,
        snapshot: &str,
    ) -> Recorded {
        Recorded {
            part: Part {
                number,
                bounds: Bounds { low, high },
            },
            cut: cut.clone(),
            snapshot: Some(snapshot.to_owned()),
            copied: true,
            rows: 0,
            bytes: 0,
        }
    }

    #[test]
    fn a_key_belongs_to_the_snapshot_of_its_range() {
        let key = Cut::Key("id".into());
        let parts = [
            part(0, None, Some(10), &key, "5:5:"),
            part(1, Some(10), Some(20), &key, "6:6:"),
            part(2, Some(20), None, &key, "7:7:"),
        ];
        let cover = cover(&parts).expect("a cover");
        let snapshot = |key: i64| cover.snapshot_of(key).to_string();
        assert_eq!(snapshot(i64::MIN), "5:5:");
        assert_eq!(snapshot(9), "5:5:");
        assert_eq!(snapshot(10), "6:6:");
        assert_eq!(snapshot(20), "7:7:");
        assert_eq!(snapshot(i64::MAX), "7:7:");
    }

    #[test]
    fn ranges_with_a_gap_are_no_cover() {
        let key = Cut::Key("id".into());
        let gap = [
            part(0, None, Some(10), &key, "5:5:"),
            part(1, Some(11), None, &key, "6:6:"),
        ];
        assert!(cover(&gap).is_err());
        let closed = [part(0, Some(1), None, &key, "5:5:")];
        assert!(cover(&closed).is_err());
    }

    #[test]
    fn pages_under_different_snapshots_are_no_cover() {
        let pages = |second: &str| {
            [
                part(0, None, Some(9), &Cut::Pages, "5:5:"),
                part(1, Some(9), None, &Cut::Pages, second),
            ]
        };
        assert!(cover(&pages("5:5:")).is_ok());
        assert!(cover(&pages("6:6:")).is_err());
    }
}
