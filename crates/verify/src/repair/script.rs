//! The mending as a file for psql that a person can read first. Holds always: the file is one
//! transaction; a statement takes effect only if exactly one row is still as it was seen, and
//! otherwise psql stops and nothing is changed.

use std::io::Write;

use trunkline_postgres::Session;

use super::batch::all_there;
use super::catalog::RepairTables;
use super::error::RepairError;
use super::guard::{Seen, found, is_keyed, literal};
use super::item::{Differing, Item, Remedy, one_line, resolve};
use super::kept::Kept;
use super::limits::BATCH_ROWS;
use super::plan::{Group, Plan};
use super::rows::Text;
use crate::difference::{DifferenceKind, RowDifference};
use trunkline_changes::Side;

/// Ends each statement: the cast of a sentence to a number fails, and says the sentence.
const EXACTLY_ONE: &str = ")\nSELECT CASE count(*) WHEN 1 THEN 1 \
     ELSE (count(*) || ' rows are as they were seen, not one')::int END AS mended \
     FROM touched \\gset\n\n";

/// What the values and conditions of a script rest on: the settings of the sessions that read
/// them.
const SETTINGS: &str = "\\set ON_ERROR_STOP on
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET search_path = '';
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET lc_monetary = 'C';
SET xmloption = 'content';
SET quote_all_identifiers = off;
SET row_security = off;
SET client_min_messages = 'warning';
";

const BEGIN: &str = "BEGIN;
-- Keeps triggers and foreign keys from acting. A superuser may set it, or from version 15 on a
-- role with SET ON PARAMETER session_replication_role.
SET LOCAL session_replication_role = replica;
SET CONSTRAINTS ALL DEFERRED;

";

/// Writes what [`super::repair`] would do as a file for psql, and changes nothing. `heading`
/// says, in lines, what was compared, when, and at which position. The sessions are as for
/// [`super::repair`]. Gives the number of rows that the file mends.
pub async fn write_script(
    source: &mut Session,
    target: &mut Session,
    tables: &RepairTables,
    differences: &[RowDifference],
    heading: &str,
    out: &mut (dyn Write + Send),
) -> Result<u64, RepairError> {
    let items = resolve(source, target, tables, differences).await?;
    let items: Vec<&Item<'_>> = items.iter().collect();
    let plan = Plan::of(&items, Differing::Updated);
    let rows = items.len() as u64 - plan.left;
    write_head(heading, rows, out)?;
    for item in &items {
        if item.remedy(Differing::Updated) == Remedy::Leave {
            let row = item.describe();
            writeln!(
                out,
                "-- left alone, its virtual columns are defined differently: {row}"
            )?;
        }
    }
    let mut script = Script {
        source,
        target,
        items: &items,
        out,
    };
    for piece in plan.deletes.chunks(BATCH_ROWS) {
        script.write_deletes(piece).await?;
    }
    for group in &plan.updates {
        script.write_updates(group).await?;
    }
    for group in &plan.inserts {
        script.write_inserts(group).await?;
    }
    out.write_all(b"COMMIT;\n")?;
    out.flush()?;
    Ok(rows)
}

fn write_head(heading: &str, rows: u64, out: &mut (dyn Write + Send)) -> Result<(), RepairError> {
    for line in heading.lines() {
        writeln!(out, "-- {}", one_line(line))?;
    }
    writeln!(out, "--")?;
    writeln!(
        out,
        "-- Makes {rows} rows of the target what they are on the source. Run it there:"
    )?;
    writeln!(out, "--   psql -X -f FILE CONNECTION")?;
    writeln!(
        out,
        "-- One transaction. Where a row is not as it was seen, psql stops with an error"
    )?;
    writeln!(out, "-- and nothing is changed.")?;
    writeln!(out)?;
    writeln!(out, "{SETTINGS}")?;
    out.write_all(BEGIN.as_bytes())?;
    Ok(())
}

struct Script<'s> {
    source: &'s mut Session,
    target: &'s mut Session,
    items: &'s [&'s Item<'s>],
    out: &'s mut (dyn Write + Send),
}

impl Script<'_> {
    async fn write_deletes(&mut self, owners: &[usize]) -> Result<(), RepairError> {
        let all = |item: &Item<'_>| item.table.written().collect();
        let seen = Seen::read(self.target, self.items, owners, all).await?;
        for owner in owners {
            let item = self.items[*owner];
            let statement = found(item, &seen[owner])
                .map(|found| format!("DELETE FROM ONLY {} AS t\n WHERE {found}", relation(item)));
            let what = match item.difference.kind {
                DifferenceKind::Different => ", taken out",
                _ => "",
            };
            self.write(item, what, statement)?;
        }
        Ok(())
    }

    async fn write_updates(&mut self, group: &Group) -> Result<(), RepairError> {
        let columns = |item: &Item<'_>| {
            if is_keyed(item) {
                group.columns.clone()
            } else {
                item.table.written().collect()
            }
        };
        let seen = Seen::read(self.target, self.items, &group.items, columns).await?;
        let mut rows = group.read(self.source, self.items).await?;
        while let Some((owner, values)) = rows.next().await? {
            let item = self.items[owner];
            let statement = update(item, &group.columns, &values, &seen[&owner]);
            write(self.out, item, "", statement)?;
        }
        all_there(self.items, &rows.finish().await?, Side::Source)
    }

    async fn write_inserts(&mut self, group: &Group) -> Result<(), RepairError> {
        let owners = group.items.iter().copied();
        let kept = Kept::read(self.target, self.items, owners, Differing::Updated).await?;
        let mut rows = group.read(self.source, self.items).await?;
        while let Some((owner, mut values)) = rows.next().await? {
            let item = self.items[owner];
            let mut columns = group.columns.clone();
            kept.add(item, owner, &mut columns, &mut values);
            let what = match item.difference.kind {
                DifferenceKind::Different => ", put in again",
                _ => "",
            };
            write(self.out, item, what, insert(item, &columns, &values))?;
        }
        all_there(self.items, &rows.finish().await?, Side::Source)
    }

    fn write(
        &mut self,
        item: &Item<'_>,
        what: &str,
        statement: Result<String, String>,
    ) -> Result<(), RepairError> {
        write(self.out, item, what, statement)
    }
}

/// Writes a statement with its comment and its check.
fn write(
    out: &mut (dyn Write + Send),
    item: &Item<'_>,
    what: &str,
    statement: Result<String, String>,
) -> Result<(), RepairError> {
    let row = item.describe();
    let statement = statement.map_err(|why| RepairError::Invalid {
        row: row.clone(),
        why,
    })?;
    writeln!(out, "-- {row}{what}")?;
    write!(out, "WITH touched AS (\n{statement}\nRETURNING 1")?;
    out.write_all(EXACTLY_ONE.as_bytes())?;
    Ok(())
}

fn update(
    item: &Item<'_>,
    columns: &[usize],
    values: &[Text],
    seen: &Seen,
) -> Result<String, String> {
    let set: Result<Vec<String>, String> = columns
        .iter()
        .zip(values)
        .map(|(&column, value)| {
            let value = typed(item, column, value)?;
            Ok(format!("{} = {value}", item.table.ident(column)))
        })
        .collect();
    Ok(format!(
        "UPDATE ONLY {} AS t\n   SET {}\n WHERE {}",
        relation(item),
        set?.join(",\n       "),
        found(item, seen)?
    ))
}

fn insert(item: &Item<'_>, columns: &[usize], values: &[Text]) -> Result<String, String> {
    let table = item.table.target.quoted();
    if columns.is_empty() {
        return Ok(format!("INSERT INTO {table} DEFAULT VALUES"));
    }
    let names: Vec<String> = columns.iter().map(|&c| item.table.ident(c)).collect();
    let values: Result<Vec<String>, String> = columns
        .iter()
        .zip(values)
        .map(|(&column, value)| typed(item, column, value))
        .collect();
    Ok(format!(
        "INSERT INTO {table} ({})\nOVERRIDING SYSTEM VALUE VALUES ({})",
        names.join(", "),
        values?.join(", ")
    ))
}

fn typed(item: &Item<'_>, column: usize, value: &Text) -> Result<String, String> {
    let Some(value) = value else {
        return Ok("NULL".to_owned());
    };
    let type_name = &item.table.columns[column].type_name;
    Ok(format!("{}::{type_name}", literal(value)?))
}

fn relation(item: &Item<'_>) -> String {
    let spot = item.target.as_ref().expect("the target has this row");
    spot.relation.name.quoted()
}
