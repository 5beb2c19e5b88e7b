//! What our role may not read on a side, and why: asked beforehand, so that one table does
//! not end the comparison of the others.

use std::collections::BTreeMap;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{DataRow, OnSide, PgError, Session};

use crate::error::Error;

/// Relations that cannot be read, each with the reason.
pub(super) type Barred = BTreeMap<TableName, String>;

/// Asks a server which of these relations our role cannot read.
pub(super) async fn barred(
    session: &mut Session,
    side: Side,
    names: impl Iterator<Item = &TableName>,
) -> Result<Barred, Error> {
    let doing = "reading what may be read";
    let (schemas, names): (Vec<&str>, Vec<&str>) = names
        .map(|name| (name.schema.as_str(), name.name.as_str()))
        .unzip();
    let (schemas, names) = (owned(&schemas), owned(&names));
    let sql = include_str!("../sql/alone_rights.sql");
    let rows = session.query(sql, &[&schemas, &names]).await;
    let rows = rows.on(side, doing)?;
    let read = |row: &DataRow| -> Result<(TableName, String), PgError> {
        let name = row.table_name(0, 1)?;
        Ok((name, row.get(2)?))
    };
    let barred = rows.iter().map(read).collect::<Result<_, _>>();
    Ok(barred.on(side, doing)?)
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
