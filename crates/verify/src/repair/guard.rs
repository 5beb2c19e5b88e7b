//! How a script finds a row and knows it again: by its key and by what the row was seen to
//! hold. Places mean nothing later, so a row without a key is found by its contents alone.

use std::collections::{BTreeMap, HashMap};

use trunkline_changes::{Side, quote_literal};
use trunkline_postgres::Session;

use super::batch::all_there;
use super::catalog::{RepairTable, TextForm};
use super::error::RepairError;
use super::item::Item;
use super::limits::SHOWN_BYTES;
use super::rows::{Rows, Text};
use crate::difference::DifferenceKind;

/// What a row of the target was seen to hold.
pub(crate) struct Seen {
    columns: Vec<usize>,
    values: Vec<Text>,
}

impl Seen {
    /// Reads what the target's rows hold in these columns: a value where it is short, else its
    /// hash.
    pub(crate) async fn read(
        target: &mut Session,
        items: &[&Item<'_>],
        owners: &[usize],
        columns: impl Fn(&Item<'_>) -> Vec<usize>,
    ) -> Result<HashMap<usize, Seen>, RepairError> {
        let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for &owner in owners {
            let item = items[owner];
            let spot = item.target.as_ref().expect("the target has this row");
            let key = (&item.table.target, &spot.relation.name, columns(item));
            groups.entry(key).or_default().push(owner);
        }
        let mut seen = HashMap::new();
        for ((_, relation, columns), owners) in groups {
            let table = items[owners[0]].table;
            let expressions: Vec<String> =
                columns.iter().map(|&column| shown(table, column)).collect();
            let places = owners.iter().map(|&owner| {
                let spot = items[owner].target.as_ref();
                (spot.expect("the target has this row").ctid.clone(), owner)
            });
            let side = Side::Target;
            let mut rows = Rows::open(target, side, relation, &expressions, places).await?;
            while let Some((owner, values)) = rows.next().await? {
                let columns = columns.clone();
                seen.insert(owner, Seen { columns, values });
            }
            all_there(items, &rows.finish().await?, side)?;
        }
        Ok(seen)
    }

    /// The conditions under which the row of an alias holds it still.
    fn conditions(&self, table: &RepairTable, alias: &str) -> Result<Vec<String>, String> {
        let seen = self.columns.iter().zip(&self.values);
        seen.map(|(&column, value)| condition(table, alias, column, value.as_deref()))
            .collect()
    }
}

/// A column's text, the same for equal contents only.
fn text(table: &RepairTable, alias: &str, column: usize) -> String {
    let name = format!("{alias}.{}", table.ident(column));
    match table.columns[column].text {
        TextForm::Cast => format!("{name}::text"),
        TextForm::Output => format!("format('%s', {name})"),
    }
}

fn hash(text: &str) -> String {
    format!("encode(sha256(convert_to({text}, 'UTF8')), 'hex')")
}

/// `=` and the text, or `#` and its hash; NULL for NULL.
fn shown(table: &RepairTable, column: usize) -> String {
    let (text, name) = (text(table, "t", column), table.ident(column));
    format!(
        "CASE WHEN t.{name} IS NOT DISTINCT FROM NULL THEN NULL \
         WHEN octet_length({text}) <= {SHOWN_BYTES} THEN '=' || {text} \
         ELSE '#' || {} END",
        hash(&text)
    )
}

fn condition(
    table: &RepairTable,
    alias: &str,
    column: usize,
    value: Option<&[u8]>,
) -> Result<String, String> {
    let name = format!("{alias}.{}", table.ident(column));
    // IS NULL would look into composite values.
    let Some((&form, value)) = value.and_then(<[u8]>::split_first) else {
        return Ok(format!("{name} IS NOT DISTINCT FROM NULL"));
    };
    let value = literal(value)?;
    let text = text(table, alias, column);
    if form == b'#' {
        return Ok(format!("{} = {value}", hash(&text)));
    }
    let described = &table.columns[column];
    let same = format!("{text}{} = {value}", described.collate);
    // The output of NULL is empty too.
    Ok(if described.text == TextForm::Output && value == "''" {
        format!("{name} IS DISTINCT FROM NULL AND {same}")
    } else {
        same
    })
}

/// A value as a literal without its type.
pub(crate) fn literal(value: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(value);
    let text =
        text.map_err(|_| "it holds a value that is not UTF-8, which a script cannot carry")?;
    Ok(quote_literal(text))
}

/// Whether a row's key alone finds it.
pub(crate) fn is_keyed(item: &Item<'_>) -> bool {
    let comparable = |name: &str| {
        let column = item.table.column(name);
        column.is_some_and(|column| item.table.columns[column].equality.is_some())
    };
    let key = &item.difference.key;
    item.difference.kind != DifferenceKind::Duplicated
        && !key.is_empty()
        && key.iter().all(|part| comparable(&part.column))
}

/// What finds the row of `t`, one condition a line.
pub(crate) fn found(item: &Item<'_>, seen: &Seen) -> Result<String, String> {
    let table = item.table;
    if is_keyed(item) {
        let mut conditions = key(item);
        conditions.extend(seen.conditions(table, "t")?);
        return Ok(conditions.join("\n   AND "));
    }
    let spot = item.target.as_ref().expect("the target has this row");
    let mut conditions = seen.conditions(table, "o")?;
    if conditions.is_empty() {
        conditions.push("true".to_owned());
    }
    Ok(format!(
        "t.ctid = (SELECT o.ctid FROM ONLY {} AS o\n   WHERE {}\n   LIMIT 1)",
        spot.relation.name.quoted(),
        conditions.join("\n     AND ")
    ))
}

fn key(item: &Item<'_>) -> Vec<String> {
    let table = item.table;
    let conditions = item.difference.key.iter().filter_map(|part| {
        let column = table.column(&part.column)?;
        let (name, described) = (table.ident(column), &table.columns[column]);
        Some(match &part.value {
            Some(value) => format!(
                "t.{name} {} {}::{}",
                described.equality.as_ref()?,
                quote_literal(value),
                described.type_name
            ),
            None => format!("t.{name} IS NOT DISTINCT FROM NULL"),
        })
    });
    conditions.collect()
}
