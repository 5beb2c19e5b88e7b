//! A difference with what the catalogs say of its table and places. Holds always: an item's
//! places are those that its kind needs, its columns exist, and a name from outside reaches SQL
//! only as the server spelled it back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{Fault, OnSide, PgError, Session};

use super::catalog::{Generated, RepairTable, RepairTables};
use super::error::RepairError;
use super::limits::NAMED_CHARACTERS;
use crate::difference::{DifferenceKind, Place, RowDifference};

/// A table or partition that holds rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) name: TableName,
    pub(crate) columns: Vec<String>,
}

/// Where a row lies.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    pub(crate) relation: Arc<Relation>,
    /// As the server prints it.
    pub(crate) ctid: String,
}

/// A difference that can be mended.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) difference: &'a RowDifference,
    pub(crate) table: &'a RepairTable,
    pub(crate) source: Option<Spot>,
    pub(crate) target: Option<Spot>,
}

/// What mends a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    Delete,
    Insert,
    /// Sets these columns.
    Update(Vec<usize>),
    /// Takes the row out and puts it in again.
    Replace,
    /// Only virtual columns differ: the tables compute them differently, the rows are equal.
    Leave,
}

/// How rows that differ are mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Differing {
    /// By an UPDATE where one can do it.
    Updated,
    /// All taken out first, so that none stands in another's way.
    Replaced,
}

/// Checks the differences against both catalogs.
pub(crate) async fn resolve<'a>(
    source: &mut Session,
    target: &mut Session,
    tables: &'a RepairTables,
    differences: &'a [RowDifference],
) -> Result<Vec<Item<'a>>, RepairError> {
    let places = |of: fn(&RowDifference) -> Option<&Place>| -> BTreeSet<&str> {
        let found = differences.iter().filter_map(of);
        found.map(|place| place.relation.as_str()).collect()
    };
    let source_places = places(|difference| difference.source.as_ref());
    let target_places = places(|difference| difference.target.as_ref());
    let on_source = relations(source, Side::Source, source_places).await?;
    let on_target = relations(target, Side::Target, target_places).await?;
    differences
        .iter()
        .map(|difference| {
            item(difference, tables, &on_source, &on_target).map_err(|why| RepairError::Invalid {
                row: describe(difference),
                why,
            })
        })
        .collect()
}

type Relations = BTreeMap<String, Arc<Relation>>;

async fn relations(
    session: &mut Session,
    side: Side,
    names: BTreeSet<&str>,
) -> Result<Relations, Fault> {
    let names: Vec<&str> = names.into_iter().collect();
    let read = async {
        let sql = include_str!("../sql/repair_relations.sql");
        let mut found = Relations::new();
        for row in session.query(sql, &[&names]).await? {
            let relation = Relation {
                name: row.table_name(1, 2)?,
                columns: row.get(3)?,
            };
            found.insert(row.get(0)?, Arc::new(relation));
        }
        Ok::<_, PgError>(found)
    };
    read.await
        .on(side, "looking up the tables of the differences")
}

fn item<'a>(
    difference: &'a RowDifference,
    tables: &'a RepairTables,
    on_source: &Relations,
    on_target: &Relations,
) -> Result<Item<'a>, String> {
    let table = tables
        .get(&difference.table)
        .ok_or("the target has no such table")?;
    let source = spot(difference.source.as_ref(), on_source)?;
    let target = spot(difference.target.as_ref(), on_target)?;
    let (on_source, on_target) = match difference.kind {
        DifferenceKind::Missing => (true, false),
        DifferenceKind::Different => (true, true),
        DifferenceKind::Extra | DifferenceKind::Duplicated => (false, true),
    };
    if on_source && source.is_none() {
        return Err("its place on the source is not given".to_owned());
    }
    if on_target && target.is_none() {
        return Err("its place on the target is not given".to_owned());
    }
    if let Some(target) = &target
        && target.relation.name != table.target
        && !table.partitioned
    {
        let place = &target.relation.name;
        return Err(format!("its place is {place}, which is not the table's"));
    }
    let item = Item {
        difference,
        table,
        source,
        target,
    };
    item.check_columns()?;
    Ok(item)
}

fn spot(place: Option<&Place>, relations: &Relations) -> Result<Option<Spot>, String> {
    let Some(place) = place else { return Ok(None) };
    let relation = relations.get(&place.relation);
    Ok(Some(Spot {
        relation: Arc::clone(relation.ok_or("its place is in no table")?),
        ctid: ctid(&place.ctid).ok_or("its place is not a ctid")?,
    }))
}

/// `(block,offset)` as the server prints it.
fn ctid(text: &str) -> Option<String> {
    let (block, offset) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    let (block, offset): (u32, u16) = (block.parse().ok()?, offset.parse().ok()?);
    Some(format!("({block},{offset})"))
}

impl Item<'_> {
    fn check_columns(&self) -> Result<(), String> {
        for name in &self.difference.columns {
            let column = self.table.column(name);
            let column = column.ok_or_else(|| format!("the target has no column {name}"))?;
            let computed = self.table.columns[column].generated != Generated::Not;
            if !computed && !self.sent().any(|sent| sent == column) {
                return Err(format!("the source has no column {name}"));
            }
        }
        if self.difference.kind == DifferenceKind::Different && self.difference.columns.is_empty() {
            return Err("no column is named that differs".to_owned());
        }
        Ok(())
    }

    /// The columns that the source has values for.
    pub(crate) fn sent(&self) -> impl Iterator<Item = usize> + '_ {
        self.table
            .written()
            .filter(|&column| self.source_has(column))
    }

    /// The columns that only the target has: a row that is put in again keeps them.
    pub(crate) fn kept(&self) -> impl Iterator<Item = usize> + '_ {
        self.table
            .written()
            .filter(|&column| !self.source_has(column))
    }

    fn source_has(&self, column: usize) -> bool {
        let name = &self.table.columns[column].name;
        self.source
            .as_ref()
            .is_some_and(|spot| spot.relation.columns.contains(name))
    }

    /// What mends the row.
    pub(crate) fn remedy(&self, differing: Differing) -> Remedy {
        match self.difference.kind {
            DifferenceKind::Extra | DifferenceKind::Duplicated => Remedy::Delete,
            DifferenceKind::Missing => Remedy::Insert,
            DifferenceKind::Different => self.remedy_of_different(differing),
        }
    }

    fn remedy_of_different(&self, differing: Differing) -> Remedy {
        let names = self.difference.columns.iter();
        let columns: Vec<usize> = names.filter_map(|name| self.table.column(name)).collect();
        let is = |generated: Generated| {
            move |&&column: &&usize| self.table.columns[column].generated == generated
        };
        // An UPDATE computes only what depends on the columns that it sets.
        if columns.iter().any(|column| is(Generated::Stored)(&column)) {
            return Remedy::Replace;
        }
        let plain: Vec<usize> = columns.iter().filter(is(Generated::Not)).copied().collect();
        if plain.is_empty() {
            return Remedy::Leave;
        }
        let fixed = plain.iter().any(|&column| self.table.is_fixed(column));
        if fixed || differing == Differing::Replaced {
            Remedy::Replace
        } else {
            Remedy::Update(plain)
        }
    }

    /// The row for an error or a comment: one line, without control characters.
    pub(crate) fn describe(&self) -> String {
        describe(self.difference)
    }
}

fn describe(difference: &RowDifference) -> String {
    let mut text = format!("{} {}", difference.kind.name(), difference.table);
    if difference.key.is_empty() {
        let place = difference.target.as_ref().or(difference.source.as_ref());
        if let Some(place) = place {
            // Writing to a String cannot fail.
            let _written = write!(text, " at {} of {}", place.ctid, place.relation);
        }
    }
    for (index, key) in difference.key.iter().enumerate() {
        text.push_str(if index == 0 { " where " } else { ", " });
        text.push_str(&key.column);
        text.push_str(" = ");
        match &key.value {
            Some(value) => text.extend(value.chars().take(NAMED_CHARACTERS)),
            None => text.push_str("NULL"),
        }
    }
    one_line(&text)
}

/// The text without what would end a line or a comment.
pub(crate) fn one_line(text: &str) -> String {
    let harmful = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if harmful(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_place_is_taken_for_a_place() {
        assert_eq!(ctid("(7,1)").as_deref(), Some("(7,1)"));
        assert_eq!(ctid("(007,1)").as_deref(), Some("(7,1)"));
        for text in ["", "7,1", "(7,1", "(7,1)'", "(7,70000)", "(-1,1)", "(a,b)"] {
            assert_eq!(ctid(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_cannot_end_a_comment() {
        assert_eq!(one_line("a\nDROP\r\u{2028}ü"), "a\\nDROP\\r\\u{2028}ü");
    }
}
